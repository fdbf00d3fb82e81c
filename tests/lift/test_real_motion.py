"""Real motion: the shipped file, its people, and banks that join it."""

from pathlib import Path

import numpy as np
import pytest

from signrep_core.errors import SignRepError
from signrep_core.lift.real_motion import (
    DEVELOPMENT,
    HELD_OUT,
    REAL_MOTION,
    RealMotion,
    add_real_motion,
    load_real_motion,
    read_kinect,
    read_leap,
    save_real_motion,
    training_people,
)
from signrep_core.skeleton import BODY_LIMITS, HAND_JOINTS, HAND_LIMITS
from signrep_core.synthetic.clips import make_bank


def test_the_shipped_motion_is_small_within_limits_and_has_its_licences() -> None:
    motion = load_real_motion()
    for part, limits in (("arms", BODY_LIMITS), ("hands", HAND_LIMITS[3:])):
        own = motion[part]
        assert len(own.angles) == own.lengths.sum() > 30_000
        assert (own.angles >= limits[:, 0] - 1e-2).all()
        assert (own.angles <= limits[:, 1] + 1e-2).all()
        assert {DEVELOPMENT[part], HELD_OUT[part]} < set(own.people.tolist())
    assert REAL_MOTION.stat().st_size < 10 << 20
    assert {path.name for path in REAL_MOTION.parent.glob("LICENSE*")} == {
        "LICENSE-BSD-3-hands.txt",
        "LICENSE-MIT-arms.txt",
    }


def test_training_sees_neither_the_held_out_people_nor_those_of_development() -> None:
    motion = load_real_motion()
    people = training_people(motion)
    bank = add_real_motion(make_bank(1, 0), motion, people)
    for part, track in (("arms", bank.bodies[1]), ("hands", bank.fingers[1])):
        own = motion[part]
        assert not people[part] & {DEVELOPMENT[part], HELD_OUT[part]}
        kept = np.isin(own.people, list(people[part]))
        assert len(track.values) == own.lengths[kept].sum()
    assert len(bank.hand_offsets[1]) == len(people["hands"])


def test_angles_are_kept_to_a_thousandth_and_people_are_chosen(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    own = RealMotion(rng.uniform(-2, 2, (7, 22)), np.array([3, 4]), np.array([1, 0]), rng.random((2, 16)))
    save_real_motion(tmp_path / "motion.npz", {"arms": own, "hands": own})
    read = load_real_motion(tmp_path / "motion.npz")["arms"]
    np.testing.assert_allclose(read.angles, own.angles, atol=5.1e-4)
    np.testing.assert_allclose(read.of({0}).angles, own.angles[3:], atol=5.1e-4)
    assert read.of({0}).lengths.tolist() == [4]
    with pytest.raises(SignRepError, match="make it again: signrep lift bank"):
        load_real_motion(tmp_path / "missing.npz")


def test_a_kinect_body_faces_the_camera_and_a_leap_hand_has_a_wrist(tmp_path: Path) -> None:
    joints = np.zeros((4, 14, 3))
    joints[:, 2], joints[:, 3] = (-100, 0, -100), (100, 0, 100)  # left, then right: 45° about the vertical, y up
    np.savez(tmp_path / "arms.npz", joints_mm=joints, lengths=[4], signer=[2])
    motion = read_kinect(tmp_path / "arms.npz")
    left, right = (motion.points[:, motion.names.index(f"{side}_shoulder")] for side in ("left", "right"))
    np.testing.assert_allclose(left - right, np.tile([0.2828, 0, 0], (4, 1)), atol=1e-4)

    fingers = np.zeros((2, 5, 5, 3))
    fingers[..., 2] = -10 * np.array([-580, 0, 400, 600, 750])  # metacarpals of 58 mm along the fingers
    np.savez(tmp_path / "hands.npz", joints_tenth_mm=fingers / 10, lengths=[2], signer=[0])
    motion = read_leap(tmp_path / "hands.npz")
    knuckle = motion.points[:, HAND_JOINTS.index("middle_mcp")]
    np.testing.assert_allclose(np.linalg.norm(knuckle, axis=-1), 0.058 / 0.78, atol=1e-4)
