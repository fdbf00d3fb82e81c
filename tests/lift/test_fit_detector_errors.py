"""Fitting of the detector's error model: tables become pairs, and an image's scale follows from places and joints."""

from pathlib import Path

import numpy as np
import pytest

from signrep_core.errors import SignRepError
from signrep_core.lift.fit_detector_errors import image_scale, read_pairs
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import TableWriter
from signrep_core.synthetic.corpus import make_act, plan_corpus, true_columns, write_truth


def test_the_scale_of_a_perspective_image_is_found_from_places_and_joints() -> None:
    plan = plan_corpus(signers=1, glosses=3, takes=1, seed=5, size=320)[0]
    truth, scene = true_columns(plan), make_act(plan).scene
    found = image_scale(truth["image_xy"], truth["camera_joints"])
    np.testing.assert_allclose(found, scene.focal * 320 / scene.neck[2], rtol=1e-5)


def test_tables_of_truth_and_pose_become_pairs(tmp_path: Path) -> None:
    plan = plan_corpus(signers=1, glosses=3, takes=1, seed=5, size=320)
    write_truth(plan, tmp_path / "truth.parquet")
    with TableWriter(tmp_path / "pose.parquet", POSE) as writer:
        for performance in plan[1:]:
            true = true_columns(performance)
            n = len(true["frame"])
            writer.write({
                **{name: true[name] for name in ("video_id", "frame", "time_s", "image_xy")},
                "present": np.arange(n) > 0, "doubtful": np.zeros(n, bool), "damaged": np.zeros(n, bool),
                "part": np.zeros(n, np.int32), "shot": np.zeros(n, np.int32),
                "right_hand": ["seen"] * n, "left_hand": ["seen"] * n,
                "landmarks": true["camera_joints"],
                "confidence": np.ones((n, 61)), "box": np.zeros((n, 4)),
            })  # fmt: skip
    pairs = read_pairs(tmp_path / "truth.parquet", tmp_path / "pose.parquet", (320, 320))
    np.testing.assert_array_equal(np.unique(pairs.video), (1, 2))
    np.testing.assert_allclose(pairs.xy, pairs.true_xy)
    assert len(pairs.scale) == sum(len(true_columns(performance)["frame"]) - 1 for performance in plan[1:])
    write_truth(plan[:1], tmp_path / "truth.parquet")
    with pytest.raises(SignRepError, match=r"pose\.parquet has no video of .*truth\.parquet; give the pose"):
        read_pairs(tmp_path / "truth.parquet", tmp_path / "pose.parquet", (320, 320))
