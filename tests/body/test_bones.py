"""Bone lengths: measurement, the corpus median, defaults, and JSON."""

import json
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from signrep_core import skeleton
from signrep_core.body.bones import (
    BONES,
    N_BONES,
    BoneHistogram,
    frame_offsets,
    measure_bones,
    median_offsets,
    offsets_from_lengths,
    scatter,
    shared_lengths,
    video_offsets,
)
from signrep_core.errors import TableError
from tests.body.poses import BONES as OFFSETS
from tests.body.poses import observed_angles, pose

CENTRAL_BONES = ("neck_nose", "hip_half_width", "spine_half")  # measured once, under the first side
UPPER_ARM, FOREARM, EAR_X, INDEX = (BONES.index(bone) for bone in ("upper_arm", "forearm", "ear_x", "index_metacarpal"))
RESTING_SPINE = np.radians(-18)


def posed(n_frames: int = 5, seed: int = 0) -> np.ndarray:
    """Joints with the default bones; the lower spine at rest, so that the spine's bones are known."""
    angles = observed_angles(np.random.default_rng(seed), n_frames)
    angles[0][:, skeleton.BODY_ANGLES.index("lower_spine_x")] = RESTING_SPINE
    return pose(angles)


def seen(joints: np.ndarray) -> np.ndarray:
    return np.ones(joints.shape[:2])


def lengths_of(bone: int, values: np.ndarray) -> np.ndarray:
    """Measured lengths (T, 36, 2) in which one bone was seen, on the right."""
    lengths = np.full((len(values), N_BONES, 2), np.nan)
    lengths[:, bone, 0] = values
    return lengths


# ---------------------------------------------------------------- measuring
def test_bones_of_a_posed_skeleton_are_those_it_was_made_of() -> None:
    joints = posed()
    for frame in range(len(joints)):
        body, hand = frame_offsets(measure_bones(joints, seen(joints)))
        np.testing.assert_allclose(body[frame], OFFSETS[0], atol=1e-9)
        np.testing.assert_allclose(hand[frame], OFFSETS[1], atol=1e-9)


def test_both_sides_are_measured_and_central_bones_once() -> None:
    joints = posed()
    lengths = measure_bones(joints, seen(joints))
    for k, bone in enumerate(BONES):
        assert np.isfinite(lengths[:, k, 0]).all()
        assert np.isfinite(lengths[:, k, 1]).all() == (bone not in CENTRAL_BONES)


def test_face_points_are_signed_coordinates_in_the_heads_frame() -> None:
    joints = posed()
    body = OFFSETS[0].copy()
    ear = joints[:, 15] - joints[:, 8]
    lengths = measure_bones(joints, seen(joints))
    np.testing.assert_allclose(lengths[:, EAR_X, 1], 0.266 * 0.204)
    assert (lengths[:, EAR_X : EAR_X + 3, 1] > 0).all()  # outward, below the nose, behind it
    np.testing.assert_allclose(np.linalg.norm(lengths[:, EAR_X : EAR_X + 3, 1], axis=-1), np.linalg.norm(ear, axis=-1))
    np.testing.assert_allclose(lengths[:, BONES.index("eye_height"), 1], 0.266 * body[14])


def test_a_joint_below_half_confidence_does_not_count() -> None:
    joints, confidence = posed(), np.ones((5, 61))
    confidence[2, skeleton.ARMS["right"][1]] = 0.49
    confidence[3, skeleton.ARMS["right"][1]] = 0.5
    lengths = measure_bones(joints, confidence)
    assert np.isnan(lengths[2, [UPPER_ARM, FOREARM], 0]).all()
    assert np.isfinite(lengths[2, [UPPER_ARM, FOREARM], 1]).all()
    assert np.isfinite(lengths[3, [UPPER_ARM, FOREARM], 0]).all()


def test_offsets_of_a_frame_are_missing_with_their_joints() -> None:
    joints, confidence = posed(), np.ones((5, 61))
    confidence[1, skeleton.HANDS["right"]] = confidence[1, skeleton.HANDS["left"]] = 0
    body, hand = frame_offsets(measure_bones(joints, confidence))
    assert np.isnan(hand[1]).all()
    assert np.isfinite(hand[[0, 2, 3, 4]]).all()
    assert np.isfinite(body).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_lengths_do_not_depend_on_how_the_person_stands(seed: int) -> None:
    joints = posed(3, seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    np.testing.assert_allclose(
        measure_bones(joints @ turn.T, seen(joints)), measure_bones(joints, seen(joints)), atol=1e-12
    )


def test_scatter_is_the_deviation_of_bones_of_constant_length() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([0.3, 0.2]) + rng.normal(0, 0.01, (20000, 2))
    lengths[::3, 0] = np.nan
    assert scatter(lengths) == pytest.approx(0.01, rel=0.03)
    assert scatter(np.full((4, 2), np.nan)) == 0


# ---------------------------------------------------------------- offsets
def test_a_videos_offsets_are_medians_in_metres_divided_afterwards() -> None:
    lengths = np.full((3, N_BONES, 2), 0.1)
    lengths[:, UPPER_ARM] = [[0.2, 0.3], [0.3, 0.3], [0.5, 0.1]]  # median 0.3
    lengths[:, FOREARM] = [[0.6, 0.1], [0.1, 0.15], [0.15, 0.9]]  # median 0.15; ratios would have another
    body, _ = video_offsets(lengths)
    assert body[0] == pytest.approx(0.3)
    assert body[2] == pytest.approx(0.5)


def test_bones_never_seen_are_the_defaults_in_proportion_to_the_person() -> None:
    lengths = np.full(N_BONES, np.nan)
    lengths[UPPER_ARM] = 2 * 0.266  # twice the default person, with no other bone seen
    body, hand = offsets_from_lengths(lengths)
    np.testing.assert_allclose(body, OFFSETS[0] * np.r_[2, np.ones(15)])
    np.testing.assert_allclose(hand, OFFSETS[1] * np.r_[2, np.ones(19)])


def test_with_nothing_seen_the_skeleton_is_the_default_one() -> None:
    body, hand = video_offsets(np.full((4, N_BONES, 2), np.nan))
    np.testing.assert_allclose(body, OFFSETS[0])
    np.testing.assert_allclose(hand, OFFSETS[1])


# ---------------------------------------------------------------- the corpus
@given(
    values=arrays(np.float64, st.integers(1, 60), elements=st.floats(-0.4, 1.4)),
    cut=st.integers(0, 60),
)
@settings(max_examples=25)
def test_the_median_is_exact_to_a_tenth_of_a_millimetre_however_the_corpus_is_cut(values: np.ndarray, cut: int) -> None:
    parts = [BoneHistogram(), BoneHistogram()]
    for part, piece in zip(parts, (values[:cut], values[cut:]), strict=True):
        part.add_lengths(lengths_of(UPPER_ARM, piece))
    merged = parts[0].merge(parts[1])
    assert abs(merged.median_lengths()[UPPER_ARM] - np.median(values)) <= 1e-4
    assert merged.counts[UPPER_ARM] == len(values)
    assert merged.counts.sum() == len(values)


def test_left_and_right_are_pooled() -> None:
    histogram = BoneHistogram()
    lengths = np.full((1, N_BONES, 2), np.nan)
    lengths[0, UPPER_ARM] = 0.2, 0.3
    histogram.add_lengths(lengths)
    assert histogram.median_lengths()[UPPER_ARM] == pytest.approx(0.25, abs=1e-4)
    assert histogram.counts[UPPER_ARM] == 2


def test_the_standard_skeleton_of_one_persons_frames_is_that_person() -> None:
    histogram, joints = BoneHistogram(), posed(40)
    histogram.add(joints, seen(joints))
    bones = histogram.medians()
    np.testing.assert_allclose(bones["body_offsets"], OFFSETS[0], atol=1e-4 / 0.266)
    np.testing.assert_allclose(bones["hand_offsets"], OFFSETS[1], atol=1e-4 / 0.081)
    assert bones["counts"]["upper_arm"] == 80
    assert bones["counts"]["neck_nose"] == 40
    assert bones["defaults"] == []
    assert bones["skeleton_version"] == skeleton.SKELETON_VERSION


def test_the_standard_skeleton_says_which_bones_were_never_seen(caplog: pytest.LogCaptureFixture) -> None:
    joints = posed(10)
    confidence = seen(joints)
    confidence[:, 6:8] = 0
    histogram = BoneHistogram()
    histogram.add(joints, confidence)
    with caplog.at_level(logging.WARNING):
        bones = histogram.medians()
    assert bones["defaults"] == ["hip_half_width", "spine_half"]
    assert "hip_half_width, spine_half" in caplog.text
    assert "defaults are used instead" in caplog.text
    assert bones["body_offsets"][4] == pytest.approx(0.461, abs=1e-3)
    assert bones["counts"]["spine_half"] == 0


def test_absurd_lengths_count_in_the_end_bins() -> None:
    histogram = BoneHistogram()
    histogram.add_lengths(lengths_of(FOREARM, np.array([-1e9, 0.25, 0.25, 0.25, 1e9])))
    assert histogram.median_lengths()[FOREARM] == pytest.approx(0.25, abs=1e-4)


def test_a_histogram_is_read_as_it_was_written() -> None:
    histogram, joints = BoneHistogram(), posed(7)
    histogram.add(joints, seen(joints))
    back = BoneHistogram.from_dict(json.loads(json.dumps(histogram.to_dict())))
    assert back.medians() == histogram.medians()
    assert (back.counts == histogram.counts).all()
    assert BoneHistogram.from_dict(BoneHistogram().to_dict()).counts.sum() == 0


def test_a_histogram_of_another_skeleton_is_refused() -> None:
    values = {**BoneHistogram().to_dict(), "skeleton_version": 0}
    with pytest.raises(TableError, match=r"expected .*skeleton_version.*found .*skeleton_version.: 0"):
        BoneHistogram.from_dict(values)


@pytest.mark.parametrize("part", [{"first": -1, "counts": [1]}, {"first": 0, "counts": [-1]},
                                  {"first": 0, "counts": [0.5]}])  # fmt: skip
def test_a_histogram_of_anything_but_counts_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(TableError, match="expected the counts of"):
        BoneHistogram.from_dict({**BoneHistogram().to_dict(), "bones": {BONES[0]: part}})


def test_the_standard_skeleton_is_read_as_it_was_written_and_another_is_refused() -> None:
    histogram, joints = BoneHistogram(), posed(7)
    histogram.add(joints, seen(joints))
    values = histogram.medians()
    body, hand = median_offsets(values)
    assert (body.shape, hand.shape, body.dtype) == ((16,), (20,), np.float32)
    np.testing.assert_array_equal(hand, np.float32(values["hand_offsets"]))
    with pytest.raises(TableError, match=r"expected skeleton_version \d+, found 0"):
        median_offsets({**values, "skeleton_version": 0})
    with pytest.raises(TableError, match="expected 16 finite body_offsets"):
        median_offsets({**values, "body_offsets": [0.3] * 15})
    with pytest.raises(TableError, match="expected 20 finite hand_offsets"):
        median_offsets({**values, "hand_offsets": [float("nan")] * 20})


def test_lengths_of_offsets_give_the_offsets_again_and_count_once() -> None:
    body, hand = (np.tile(offsets, (4, 1)) * 1.1 for offsets in OFFSETS)
    lengths = shared_lengths(body, hand)
    for ours, theirs in zip(frame_offsets(lengths), (body, hand), strict=True):
        np.testing.assert_allclose(ours, theirs)
    histogram = BoneHistogram()
    histogram.add_lengths(lengths)
    assert (histogram.counts == 4).all()
