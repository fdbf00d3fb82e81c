"""The solvers by their names in the configuration, and their output on bad input."""

from typing import Any, get_args

import numpy as np
import pytest

from signrep_core.body.inverse import Solution, solve_angles
from signrep_core.config import Solver, load_config
from signrep_core.errors import CheckpointError, ConfigError
from signrep_core.lift.lift_video import solve_by_lifter
from signrep_core.lift.lifter import load_lifter
from signrep_core.lift.solver import open_solver
from signrep_core.skeleton import BODY_LIMITS, HANDS
from signrep_core.synthetic.corpus import plan_corpus, true_columns

ANGLES = ("body_angles", "right_angles", "left_angles")
HIPS = slice(6, 8)


@pytest.fixture(scope="module")
def pose() -> dict[str, Any]:
    """A synthetic signer's true joints, as if detected without an error."""
    truth = true_columns(plan_corpus(signers=1, glosses=3, takes=1, seed=5, size=320)[0])
    places = np.asarray(truth["image_xy"])[:40]
    joints = np.asarray(truth["camera_joints"])[:40]
    return {"image_xy": places, "landmarks": joints, "confidence": np.ones(places.shape[:2])}


def assert_same(ours: Solution, theirs: Solution) -> None:
    for name in (*ANGLES, "confidence"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-4)


def test_each_name_opens_its_solver(pose: dict[str, Any]) -> None:
    xy, landmarks, confidence = pose["image_xy"], pose["landmarks"], pose["confidence"]
    assert_same(open_solver("closed_form", None, 5)(pose), solve_angles(landmarks, confidence))
    assert_same(open_solver("lifter", None, 5)(pose), solve_by_lifter(load_lifter(), xy, confidence))


FLAGGED = {
    "nothing seen": "absent",
    "one hand": "incomplete",
    "no hips": "incomplete",
    "back view": "turned_away",
    "two frames": "brief",
    "one frame": "brief",
}


@pytest.mark.parametrize("solver", get_args(Solver))
@pytest.mark.parametrize("case", FLAGGED)
def test_bad_input_gives_finite_and_flagged_poses(solver: Solver, case: str, pose: dict[str, Any]) -> None:
    frames = {"two frames": 2, "one frame": 1}.get(case, 40)
    pose = {name: values[:frames].astype(float) for name, values in pose.items()}
    lost = {"nothing seen": slice(None), "one hand": HANDS["left"], "no hips": HIPS}.get(case, slice(0))
    pose["image_xy"][:, lost] = pose["landmarks"][:, lost] = np.nan
    pose["confidence"][:, lost] = 0
    if case == "back view":
        pose["image_xy"] *= (-1, 1)
        pose["landmarks"] *= (-1, 1, -1)
    solution = open_solver(solver, None, 5)(pose)
    assert set(solution.flag) == {FLAGGED[case]}
    for name in (*ANGLES, "confidence"):
        assert np.isfinite(getattr(solution, name)).all()
    assert np.isfinite(solution.video_body_offsets).all()
    if solver != "closed_form":  # which passes the limits where a joint was seen beyond them
        low, high = BODY_LIMITS.T
        assert ((solution.body_angles >= low) & (solution.body_angles <= high)).all()
    if case in ("nothing seen", "back view"):
        assert (solution.confidence == 0).all()
    if case == "one hand":
        assert (solution.confidence[:, HANDS["left"]] == 0).all()
        assert (solution.confidence[:, HANDS["right"]] > 0).all()


def test_a_file_without_weights_is_refused(tmp_path) -> None:
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(CheckpointError, match="train it again: signrep train lifter"):
        open_solver("lifter", str(tmp_path / "text"), 5)


def test_a_solver_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"angles\.solver.*'lifter'"):
        load_config({"angles": {"solver": "refined"}})
