"""Accuracy: no error with perfect stages, each error in its own row, loose bounds for the real stages."""

import numpy as np
import pytest

from benchmarks.accuracy import measure
from signrep_core.body.kinematics import solve_angles
from signrep_core.body.priors import activity
from signrep_core.synthetic.accuracy import Accuracy
from signrep_core.synthetic.corpus import plan_corpus, true_columns


def perfect_stages(truth):
    n = len(truth["frame"])
    pose = {
        "frame": truth["frame"],
        "present": np.ones(n, bool),
        "landmarks": truth["camera_joints"],
        "image_xy": truth["image_xy"],
        "confidence": np.ones((n, 61)),
    }
    right, left = activity(truth["camera_joints"], np.ones((n, 61)))
    solved = solve_angles(pose["landmarks"], pose["confidence"])
    return pose, {"frame": truth["frame"], **solved.columns()}, {"right_active": right, "left_active": left}


@pytest.fixture(scope="module")
def truth():
    return true_columns(plan_corpus(signers=1, glosses=1, takes=1, seed=0, size=320)[0])


def test_perfect_stages_have_no_error(truth):
    accuracy = Accuracy()
    accuracy.add(truth, *perfect_stages(truth))
    for what, _ in accuracy.rows():
        wanted = 1 if what.startswith(("detected", "activity")) else 0
        assert accuracy.value(what) == pytest.approx(wanted, abs=1e-9), what


def test_true_bones_have_no_error_and_longer_ones_their_surplus(truth):
    accuracy = Accuracy()
    accuracy.add(truth, *perfect_stages(truth))
    body, hand = truth["body_offsets"][0].copy(), truth["hand_offsets"][0]
    assert ("bone lengths: body", "0.0 mm median error") in accuracy.rows((body, hand))
    body[0] *= 1.1  # every length follows the upper arm
    median = np.median(0.1 * np.r_[body[0], body[0] * body[1:]] / 1.1) * 1000
    assert ("bone lengths: body", f"{median:.1f} mm median error") in accuracy.rows((body, hand))


def test_an_undetected_video_counts_as_lost(truth):
    accuracy = Accuracy()
    accuracy.add(truth, None, None, None)
    assert accuracy.value("detected: body") == 0
    assert accuracy.value("detected: right hand, signing") == 0


def test_shifted_landmarks_show_as_shares_of_the_shoulders_width(truth):
    accuracy = Accuracy()
    pose, angles, labels = perfect_stages(truth)
    width = np.linalg.norm(truth["image_xy"][:, 0] - truth["image_xy"][:, 3], axis=-1)
    shifted = pose["image_xy"] + np.stack([0.05 * width, 0 * width], -1)[:, None]
    accuracy.add(truth, {**pose, "image_xy": shifted}, angles, labels)
    assert accuracy.value("2-D landmarks: hands") == pytest.approx(5)
    assert accuracy.value("3-D landmarks: hands") == pytest.approx(0, abs=1e-9)


def test_a_bent_elbow_shows_in_the_elbow_alone(truth):
    accuracy = Accuracy()
    pose, angles, labels = perfect_stages(truth)
    bent = angles["body_angles"].copy()
    bent[:, [5, 11]] += np.radians(10)
    accuracy.add(truth, pose, {**angles, "body_angles": bent}, labels)
    assert accuracy.value("angles: elbow") == pytest.approx(10, abs=1e-6)
    assert accuracy.value("angles: shoulder") == pytest.approx(0, abs=1e-6)
    assert accuracy.value("3-D keypoints: hands") > 10


@pytest.mark.slow
def test_the_stages_stay_within_loose_bounds_of_the_truth(tmp_path):
    accuracy, (body, hand) = measure(plan_corpus(signers=1, glosses=1, takes=1, seed=0, size=320), tmp_path)
    assert accuracy.value("detected: body") == 1
    assert accuracy.value("detected: right hand, signing") > 0.85
    assert accuracy.value("2-D landmarks: shoulders and elbows") < 8
    assert accuracy.value("2-D landmarks: hands") < 5
    assert accuracy.value("angles: shoulder") < 20
    assert accuracy.value("angles: finger joints") < 20
    assert accuracy.value("3-D keypoints: hands from their wrist") < 45
    assert accuracy.value("activity: right hand right") > 0.8
    assert 0.2 < body[0] < 0.36
    assert 0.06 < hand[0] < 0.11
