"""Distances, activity and angle validity, by hand and against the definition written as loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core import skeleton
from signrep_core.body import priors
from signrep_core.body.priors import activity, angle_validity, distances
from signrep_core.config import Deviation
from tests.body.poses import mirror_angles, mirror_joints, pose, smooth_angles

RIGHT, LEFT = skeleton.HANDS["right"], skeleton.HANDS["left"]
SEEDS = st.integers(0, 2**32 - 1)


def still(n_frames: int, right_y: float, left_y: float) -> np.ndarray:
    """A still person: shoulders at y 0, hips at 0.5 (mid-torso 0.25), the hands at the heights given."""
    keypoints = np.zeros((n_frames, 61, 3))
    keypoints[:, [6, 7], 1] = 0.5
    keypoints[:, RIGHT, 1], keypoints[:, LEFT, 1] = right_y, left_y
    return keypoints


def shaken(keypoints: np.ndarray, hand: slice, metres: float) -> np.ndarray:
    """The hand goes to and fro along x by ± metres: each joint's deviation is that along x, none along y and z."""
    keypoints = keypoints.copy()
    keypoints[::2, hand, 0] += metres
    keypoints[1::2, hand, 0] -= metres
    return keypoints


def seen(keypoints: np.ndarray) -> np.ndarray:
    return np.ones(keypoints.shape[:2])


def activity_by_definition(keypoints: np.ndarray, confidence: np.ndarray, hand: range) -> list[bool]:
    """A1, written as loops over windows and joints."""
    labels = []
    for start in range(len(keypoints) - 15):
        window, sure = keypoints[start : start + 16], confidence[start : start + 16] >= 0.5
        heights = [window[t, j, 1] for t in range(16) for j in hand if sure[t, j]]
        if not heights:
            labels.append(False)
            continue
        torso = np.mean([window[t, j, 1] for t in range(16) for j in (0, 3, 6, 7)])
        movement = 21 * np.mean([window[sure[:, j], j].std(axis=0).mean() for j in hand if sure[:, j].any()])
        labels.append(not (np.mean(heights) > torso and movement < 0.26))
    return labels


# ---------------------------------------------------------------- distances
def test_distances_are_source_minus_destination() -> None:
    keypoints = np.zeros((61, 3))
    keypoints[23], keypoints[44], keypoints[10], keypoints[41] = (1, 2, 3), (4, 5, 6), (0.5, 0, 0), (1, 1, 1)
    values, _ = distances(keypoints, np.ones(61))
    assert {name: part.shape for name, part in values.items()} == {
        "body": (12, 22, 3), "right": (5, 11, 3), "left": (5, 11, 3),
    }  # fmt: skip
    np.testing.assert_allclose(values["body"][1, 4], (0.5, 2, 3))  # right thumb tip 23 - left eye 10
    np.testing.assert_allclose(values["body"][7, 11], (3, 3, 3))  # left thumb tip 44 - right thumb tip 23
    np.testing.assert_allclose(values["left"][0, 1], (3, 4, 5))  # left thumb tip 44 - left thumb CMC 41
    np.testing.assert_allclose(values["right"][0, 0], (1, 2, 3))  # right thumb tip 23 - right wrist 19


def test_a_distance_is_valid_when_both_joints_are_seen() -> None:
    confidence = np.ones((2, 61))
    confidence[1, 27] = 0.49  # the right index tip: a source and a destination of both kinds
    _, valid = distances(np.zeros((2, 61, 3)), confidence)
    assert valid["body"].shape == (2, 12, 22)
    assert all(part[0].all() for part in valid.values())
    assert valid["left"][1].all()
    expected = np.ones((5, 11), bool)
    expected[1, :] = expected[:, skeleton.FINGERTIP_DESTINATIONS["right"].index(27)] = False
    np.testing.assert_array_equal(valid["right"][1], expected)
    assert (~valid["body"][1]).sum() == 22 + 12 - 1


def test_numpy_and_torch_give_the_same_distances() -> None:
    rng = np.random.default_rng(0)
    keypoints, confidence = rng.normal(size=(2, 4, 61, 3)), rng.uniform(size=(2, 4, 61))
    ours, theirs = distances(keypoints, confidence), distances(torch.tensor(keypoints), torch.tensor(confidence))
    for numpy_parts, torch_parts in zip(ours, theirs, strict=True):
        for name, part in numpy_parts.items():
            np.testing.assert_array_equal(torch_parts[name].numpy(), part)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_distances_do_not_depend_on_the_persons_place_and_rotate_with_the_person(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keypoints, shift = rng.normal(size=(3, 61, 3)), rng.normal(size=3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    before, _ = distances(keypoints, seen(keypoints))
    after, _ = distances(keypoints @ turn.T + shift, seen(keypoints))
    for name, part in before.items():
        np.testing.assert_allclose(after[name], part @ turn.T, atol=1e-12)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_mirrored_angles_exchange_the_hands_distances_and_activity(seed: int) -> None:
    angles = smooth_angles(24, np.random.default_rng(seed))
    keypoints, mirrored = pose(angles), pose(mirror_angles(angles))
    ours, theirs = (distances(points, seen(points))[0] for points in (keypoints, mirrored))
    np.testing.assert_allclose(theirs["left"], ours["right"] * (-1, 1, 1), atol=1e-12)
    np.testing.assert_allclose(theirs["right"], ours["left"] * (-1, 1, 1), atol=1e-12)
    right, left = activity(keypoints, seen(keypoints))
    mirrored_right, mirrored_left = activity(mirror_joints(keypoints), seen(keypoints))
    assert mirrored_right.tolist() == left.tolist()
    assert mirrored_left.tolist() == right.tolist()


# ---------------------------------------------------------------- activity
def test_every_window_start_has_a_label_and_no_other_frame() -> None:
    for n_frames in (0, 1, 15, 16, 17, 40):
        right, left = activity(still(n_frames, 0, 0), np.ones((n_frames, 61)))
        for labels in (right, left):
            assert len(labels) == n_frames
            assert labels.count() == max(n_frames - 15, 0)
            assert not np.ma.getmaskarray(labels)[: labels.count()].any()


def test_a_hand_that_hangs_still_is_inactive_and_one_held_high_is_active() -> None:
    keypoints = still(16, right_y=0.26, left_y=0.24)
    right, left = activity(keypoints, seen(keypoints))
    assert (bool(right[0]), bool(left[0])) == (False, True)


def test_a_low_hand_is_active_once_it_moves_enough() -> None:
    # ±d along x: every joint deviates by d along x and 0 along y and z, so the sum over 21 joints is 21 · d / 3 = 7 d.
    for metres, expected in ((0.99 * 0.26 / 7, False), (1.01 * 0.26 / 7, True)):
        keypoints = shaken(still(20, 0.4, 0.4), RIGHT, metres)
        right, left = activity(keypoints, seen(keypoints))
        assert right.compressed().tolist() == [expected] * 5
        assert left.compressed().tolist() == [False] * 5


def test_a_half_seen_hand_moves_as_much_as_a_whole_one() -> None:
    """±0.05 m along x, so 0.35 in all; were only the 10 seen joints summed, it would be 0.167 and the hand still."""
    keypoints = shaken(still(16, 0.4, 0.4), RIGHT, 0.05)
    confidence = seen(keypoints)
    confidence[:, RIGHT.start + 10 : RIGHT.stop] = 0
    right, left = activity(keypoints, confidence)
    assert (bool(right[0]), bool(left[0])) == (True, False)


@pytest.mark.parametrize(("deviation", "whole"), [("mean", 2.1), ("norm", 21 * 0.05**0.5), ("sum", 6.3)])
def test_the_deviations_of_x_y_and_z_are_averaged_joined_or_summed(deviation: Deviation, whole: float) -> None:
    """Deviations of 0.2 along x and 0.1 along y: mean 0.1, norm √0.05, sum 0.3; over 21 joints."""
    keypoints = shaken(still(16, 0.4, 0.4), RIGHT, 0.2)
    keypoints[:8, RIGHT, 1] += 0.1
    keypoints[8:, RIGHT, 1] -= 0.1
    for threshold, expected in ((0.999 * whole, True), (1.001 * whole, False)):
        right, _ = activity(keypoints, seen(keypoints), threshold=threshold, deviation=deviation)
        assert bool(right[0]) == expected


def test_threshold_and_window_are_arguments() -> None:
    keypoints = shaken(still(20, 0.4, 0.4), RIGHT, 0.01)  # 0.07 in all
    assert not activity(keypoints, seen(keypoints), threshold=0.08)[0].any()
    assert activity(keypoints, seen(keypoints), threshold=0.06)[0].all()
    assert activity(keypoints, seen(keypoints), window=4)[0].count() == 17


def test_a_hand_never_seen_in_the_window_is_inactive_wherever_it_is() -> None:
    keypoints = shaken(still(40, -0.5, -0.5), RIGHT, 0.3)
    confidence = seen(keypoints)
    confidence[8:30, RIGHT] = 0.2  # windows 8..14 see nothing of it
    right, left = activity(keypoints, confidence)
    assert right.compressed().tolist() == [not 8 <= start <= 14 for start in range(25)]
    assert left.compressed().all()


def test_movement_in_frames_not_seen_does_not_count() -> None:
    keypoints = still(16, 0.4, 0.4)
    keypoints[5, RIGHT] += 3.0
    confidence = seen(keypoints)
    assert activity(keypoints, confidence)[0].all()
    confidence[5, RIGHT] = 0
    assert not activity(keypoints, confidence)[0].any()
    keypoints[5, RIGHT] = np.nan
    assert not activity(keypoints, confidence)[0].any()


@given(seed=SEEDS, n_frames=st.integers(16, 40), spread=st.floats(0, 0.1), missing=st.floats(0, 0.9))
@settings(max_examples=40)
def test_activity_agrees_with_the_definition(seed: int, n_frames: int, spread: float, missing: float) -> None:
    rng = np.random.default_rng(seed)
    keypoints = still(n_frames, rng.uniform(0, 0.5), rng.uniform(0, 0.5)) + rng.normal(0, spread, (n_frames, 61, 3))
    confidence = (rng.uniform(size=(n_frames, 61)) > missing).astype(float)
    right, left = activity(keypoints, confidence)
    assert right.compressed().tolist() == activity_by_definition(keypoints, confidence, range(19, 40))
    assert left.compressed().tolist() == activity_by_definition(keypoints, confidence, range(40, 61))


def test_long_videos_are_labelled_as_their_pieces_are(monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints = still(100, 0.4, 0.2) + np.random.default_rng(0).normal(0, 0.0127, (100, 61, 3))
    whole = [labels.tolist() for labels in activity(keypoints, seen(keypoints))]
    monkeypatch.setattr(priors, "_CHUNK", 7)
    assert [labels.tolist() for labels in activity(keypoints, seen(keypoints))] == whole
    assert 0 < sum(filter(None, whole[0])) < 85  # both labels occur


def test_small_movement_far_from_the_origin_is_not_lost() -> None:
    keypoints = shaken(still(20, 0.4, 0.4), RIGHT, 1.01 * 0.26 / 7)
    for x in (0, 1e5):
        far = np.array([x, 0, x])
        assert activity(keypoints + far, seen(keypoints))[0].all()
        assert not activity(keypoints * (0.98, 1, 1) + far, seen(keypoints))[0].any()


# ---------------------------------------------------------------- angle validity
@pytest.mark.parametrize(
    ("missing", "part", "invalid"),
    [
        (1, "body", {"right_shoulder_z", "right_shoulder_x", "right_shoulder_y", "right_elbow_x"}),
        (2, "body", {"right_shoulder_y", "right_elbow_x"}),
        (5, "body", {"left_shoulder_y", "left_elbow_x"}),
        (8, "body", {"head_z", "head_x", "head_y"}),
        (7, "body", {"spine_z", "spine_x", "spine_y", "lower_spine_x"}),
        (15, "body", set()),
        (0, "body", set(skeleton.BODY_ANGLES)),  # without a shoulder there is no neck, and no origin
        (4, "left", set()),  # the palm's orientation is in the root frame, not in the forearm's
        (57, "left", set(skeleton.HAND_ANGLES)),
        (44, "left", {name for name in skeleton.HAND_ANGLES if name.startswith("thumb")}),
        (27, "right", {name for name in skeleton.HAND_ANGLES if name.startswith("index")}),
        (40, "left", set(skeleton.HAND_ANGLES)),
    ],
)
def test_an_angle_is_valid_when_every_joint_it_needs_is_seen(missing: int, part: str, invalid: set[str]) -> None:
    confidence = np.ones((3, 61))
    confidence[1, missing] = 0.4
    valid = dict(zip(("body", "right", "left"), angle_validity(confidence), strict=True))[part]
    names = skeleton.BODY_ANGLES if part == "body" else skeleton.HAND_ANGLES
    assert {name for name, ok in zip(names, valid[1], strict=True) if not ok} == invalid
    assert valid[[0, 2]].all()


def test_numpy_and_torch_agree_on_validity() -> None:
    confidence = np.random.default_rng(0).uniform(0.3, 1, (2, 5, 61))
    for ours, theirs in zip(angle_validity(confidence), angle_validity(torch.tensor(confidence)), strict=True):
        np.testing.assert_array_equal(theirs.numpy(), ours)
        assert ours.any()
        assert not ours.all()
