"""Counts of a shard's tables, by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.errors import TableError
from signrep_core.inspect.report.statistics import ANGLE_EDGES, ANGLE_NAMES, Statistics, merge_statistics, quantile

RIGHT_WRIST = 19


def pose(present, confidence):
    return {"present": np.array(present), "confidence": np.asarray(confidence, np.float32)}


def angles_of(frames, degrees=0.0):
    value = np.radians(degrees)
    parts = {"body_angles": 22, "right_angles": 41, "left_angles": 41}
    return {name: np.full((frames, n), value, np.float32) for name, n in parts.items()} | {
        "interpolated": np.zeros(frames, bool)
    }


def test_joints_are_counted_only_where_there_is_a_signer():
    confidence = np.zeros((3, 61))
    confidence[:, 0] = 0.9
    confidence[0, 1], confidence[1, 1] = 0.5, 0.49
    statistics = Statistics()
    statistics.add_pose(pose([True, True, False], confidence))
    assert (statistics.frames, statistics.present) == (3, 2)
    assert statistics.seen[:3].tolist() == [2, 1, 0]
    assert statistics.confidence.sum(1).tolist() == [2] * 61


def test_hands_within_the_picture_are_counted_by_their_height():
    """The middle of the torso is at 100; the right wrist is above it in frames 0 to 2, the left one never."""
    xy = np.full((5, 61, 2), 100.0)
    xy[:, 2, 1], xy[:, 5, 1] = (50, 50, 50, 150, 50), 150
    states = {"right_hand": ["seen", "", "outside", "recovered", "seen"], "left_hand": ["interpolated"] * 5}
    statistics = Statistics()
    statistics.add_hands({"present": np.array([True] * 4 + [False]), "image_xy": xy, **states})
    assert statistics.hands.tolist() == [[[2, 1], [1, 1]], [[0, 0], [4, 0]]]


def test_a_hand_s_angles_are_counted_where_the_hand_was_seen():
    confidence = np.ones((4, 61))
    confidence[2:, RIGHT_WRIST] = 0.1
    statistics = Statistics()
    statistics.add_angles(angles_of(4, degrees=10), pose([True] * 4, confidence))
    totals = dict(zip(ANGLE_NAMES, statistics.angles.sum(1), strict=True))
    assert totals["right_elbow_x"] == 4
    assert totals["right_wrist_x"] == 2
    assert totals["left_wrist_x"] == 4
    within = int(np.searchsorted(ANGLE_EDGES, np.radians(10)) - 1)
    assert statistics.angles[0, within] == 4


def test_angles_beyond_half_a_turn_count_in_the_last_bin():
    statistics = Statistics()
    statistics.add_angles(angles_of(1, degrees=200), pose([True], np.ones((1, 61))))
    assert statistics.angles[0, -1] == 1


def test_activity_counts_full_windows_only():
    statistics = Statistics()
    right = np.ma.array([True, True, False, False], mask=[False, False, False, True])
    left = np.ma.array([False, True, False, True], mask=right.mask)
    statistics.add_activity({"right_active": right, "left_active": left})
    assert statistics.windows == 3
    assert statistics.active.tolist() == [2, 1]


def test_sequences_are_counted_by_length():
    statistics = Statistics()
    statistics.add_crops({"n_frames": np.array([16, 31, 32, 5000])})
    assert statistics.lengths.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 1]


def test_the_parts_sum_to_the_whole_through_files(tmp_path):
    rng = np.random.default_rng(0)
    whole, paths = Statistics(), []
    for k in range(3):
        part, rows = Statistics(), pose(rng.random(20) < 0.8, rng.random((20, 61)))
        part.add_pose(rows)
        whole.add_pose(rows)
        paths.append(tmp_path / f"{k}.json")
        paths[-1].write_text(json.dumps(part.to_dict()))
    assert merge_statistics(paths).to_dict() == whole.to_dict()


def test_counts_of_another_shape_name_the_stage_to_rerun():
    values = Statistics().to_dict() | {"seen": [1, 2]}
    with pytest.raises(TableError, match=r"'seen' of shape \(61,\), found \(2,\)$"):
        Statistics.from_dict(values)
    del values["seen"]
    with pytest.raises(TableError, match="found nothing"):
        Statistics.from_dict(values)


def test_a_quantile_of_nothing_is_not_a_number():
    assert np.isnan(quantile(np.zeros(4, np.int64), np.arange(5.0), 0.5))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_right_to_a_bin(values, share):
    edges = np.linspace(0, 1, 21)
    found = quantile(np.histogram(values, edges)[0], edges, share)
    assert np.quantile(values, share, method="lower") - 0.0501 <= found
    assert found <= np.quantile(values, share, method="higher") + 0.0501
