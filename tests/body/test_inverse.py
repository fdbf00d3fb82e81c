"""Inverse kinematics: round trips, limits, gaps, continuity, hands of any size, mirror symmetry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core import skeleton
from signrep_core.body.inverse import flag_frames
from signrep_core.body.kinematics import Solution, solve_angles
from signrep_core.errors import FLAGS
from signrep_core.store.schemas import ANGLES
from signrep_core.store.tables import to_arrow
from tests.body.poses import (
    BODY_SIGN,
    BODY_SWAP,
    BONES,
    mirror_joints,
    observed_angles,
    pose,
    random_angles,
    smooth_angles,
)
from tests.body.test_forward import VECTORS

LIMITS = {"body": skeleton.BODY_LIMITS, "right": skeleton.HAND_LIMITS, "left": skeleton.HAND_LIMITS}
RIGHT, LEFT = skeleton.HANDS["right"], skeleton.HANDS["left"]


def solve(joints: np.ndarray, own_bones: bool = False, **options: int) -> Solution:
    """All joints seen; with the bones that the poses were made with, unless the video's own are asked for."""
    bones = {} if own_bones else {"body_offsets": BONES[0], "hand_offsets": BONES[1]}
    return solve_angles(joints, np.ones(joints.shape[:2]), **bones, **options)


def errors(solution: Solution, joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(solution.joints() - joints, axis=-1)


def angles_of(solution: Solution) -> dict[str, np.ndarray]:
    return {part: getattr(solution, f"{part}_angles") for part in ("body", "right", "left")}


# ---------------------------------------------------------------- round trips
def test_reference_poses_are_reproduced_with_the_videos_own_bones() -> None:
    joints = np.load(VECTORS)["joints"]
    assert errors(solve(joints, own_bones=True), joints).max() <= 1e-4


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_poses_within_the_observed_ranges_are_reproduced(seed: int) -> None:
    joints = pose(observed_angles(np.random.default_rng(seed), 16))
    assert errors(solve(joints), joints).max() <= 1e-4


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_any_body_pose_within_the_limits_is_reproduced(seed: int) -> None:
    joints = pose(random_angles(np.random.default_rng(seed), 16, skeleton.BODY_LIMITS, skeleton.OBSERVED_HAND_RANGES))
    assert errors(solve(joints), joints).max() <= 1e-4


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_any_finger_pose_within_the_limits_on_a_plausible_palm_is_reproduced(seed: int) -> None:
    ranges = skeleton.HAND_LIMITS.copy()
    palm = [k for k, name in enumerate(skeleton.HAND_ANGLES) if "metacarpal" in name or name.startswith("thumb")]
    ranges[palm] = skeleton.OBSERVED_HAND_RANGES[palm]
    joints = pose(random_angles(np.random.default_rng(seed), 16, skeleton.OBSERVED_BODY_RANGES, ranges))
    assert errors(solve(joints), joints).max() <= 1e-4


def test_angles_determined_by_the_joints_are_recovered() -> None:
    angles = observed_angles(np.random.default_rng(0), 50)
    solution = solve(pose(angles))
    np.testing.assert_allclose(solution.body_angles, angles[0], atol=1e-3)


def test_elbow_of_a_pose_by_hand() -> None:
    # Upper arm down, forearm at the camera: a bend of -90° and no other turn.
    angles = [part[:1] * 0 for part in observed_angles(np.random.default_rng(0), 1)]
    angles[0][0, skeleton.BODY_ANGLES.index("right_elbow_x")] = np.radians(-90)
    found = np.degrees(solve(pose((angles[0], angles[1], angles[2]))).body_angles[0])
    np.testing.assert_allclose(found[:6], (0, 0, 0, 0, 0, -90), atol=0.05)


def test_one_frame_and_no_frame_are_videos_too() -> None:
    joints = pose(observed_angles(np.random.default_rng(0), 1))
    assert errors(solve(joints, own_bones=True), joints).max() <= 1e-4
    empty = solve(joints[:0], own_bones=True)
    assert empty.body_angles.shape == (0, 22)
    assert empty.right_angles.shape == (0, 41)


def test_a_long_video_is_solved_as_its_pieces_are() -> None:
    joints = pose(smooth_angles(1100, np.random.default_rng(0)))  # more than a stretch
    whole, piece = solve(joints), solve(joints[1000:])
    np.testing.assert_allclose(whole.body_angles[1000:], piece.body_angles, atol=1e-6)
    np.testing.assert_allclose(whole.left_angles[1000:, 3:], piece.left_angles[:, 3:], atol=1e-6)


# ---------------------------------------------------------------- noise and limits
@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, Solution]:
    rng = np.random.default_rng(0)
    joints = pose(smooth_angles(300, rng))
    joints += rng.normal(0, 0.004, joints.shape)
    joints[:, 19], joints[:, 40] = joints[:, 2], joints[:, 5]
    return joints, solve(joints, own_bones=True)


def test_angles_keep_to_their_limits_whatever_the_landmarks() -> None:
    rng = np.random.default_rng(0)
    solution = solve(rng.normal(0, 0.3, (200, 61, 3)), own_bones=True)
    for part, angles in angles_of(solution).items():
        free = [k for k, name in enumerate(skeleton.HAND_ANGLES) if name.startswith("wrist")] if part != "body" else []
        held = np.setdiff1d(np.arange(angles.shape[1]), free)
        assert np.isfinite(angles).all()
        assert (angles[:, held] >= LIMITS[part][held, 0] - 1e-9).all()
        assert (angles[:, held] <= LIMITS[part][held, 1] + 1e-9).all()


def test_wrist_y_stays_within_90_degrees() -> None:
    joints = pose(observed_angles(np.random.default_rng(0), 200))
    assert np.abs(solve(joints).right_angles[:, 1]).max() <= np.pi / 2


def test_noise_of_4_mm_leaves_errors_of_about_that_size(noisy: tuple[np.ndarray, Solution]) -> None:
    joints, solution = noisy
    assert np.median(errors(solution, joints)) < 0.006


def test_noise_does_not_make_angles_jump(noisy: tuple[np.ndarray, Solution]) -> None:
    _, solution = noisy
    assert np.degrees(np.abs(np.diff(solution.body_angles, axis=0)).max()) < 30


def test_reserved_angles_are_zero(noisy: tuple[np.ndarray, Solution]) -> None:
    assert (noisy[1].body_angles[:, skeleton.RESERVED_ANGLES] == 0).all()


def test_a_straight_noisy_arm_does_not_spin_about_itself() -> None:
    rng = np.random.default_rng(0)
    angles = [np.tile(part[:1], (100, 1)) for part in observed_angles(rng, 1)]
    angles[0][:, :12] = 0
    joints = pose((angles[0], angles[1], angles[2])) + rng.normal(0, 0.005, (100, 61, 3))
    turn = solve(joints).body_angles[:, [4, 10]]
    assert np.degrees(turn.std(0)).max() < 20  # unguided it would be anywhere: 104°


# ---------------------------------------------------------------- hands
def test_a_hand_of_another_size_in_some_frames_has_the_same_angles() -> None:
    joints = pose(smooth_angles(60, np.random.default_rng(0)))
    near = joints.copy()
    near[:20, RIGHT] = near[:20, 19:20] + 1.3 * (near[:20, RIGHT] - near[:20, 19:20])
    solution = solve(near)
    np.testing.assert_allclose(solution.right_angles, solve(joints).right_angles, atol=1e-4)
    np.testing.assert_allclose(solution.hand_scale[:, 0], [1.3] * 20 + [1] * 40)
    np.testing.assert_allclose(solution.hand_scale[:, 1], 1)


def test_the_palm_is_where_it_was_seen_even_if_the_elbow_was_not() -> None:
    joints = pose(smooth_angles(40, np.random.default_rng(0)))
    confidence = np.ones(joints.shape[:2])
    confidence[10:14, 1] = 0.1
    solution = solve_angles(joints, confidence, body_offsets=BONES[0], hand_offsets=BONES[1])
    posed = solution.joints()
    np.testing.assert_allclose(posed[:, RIGHT] - posed[:, 19:20], joints[:, RIGHT] - joints[:, 19:20], atol=1e-4)
    assert solution.right_valid[10:14].all()
    assert not solution.body_valid[10:14, skeleton.BODY_ANGLES.index("right_elbow_x")].any()


def test_a_wrist_in_full_rotation_never_jumps() -> None:
    body, right, left = (np.tile(part[:1], (150, 1)) for part in observed_angles(np.random.default_rng(0), 1))
    right[:, 0] = np.linspace(0, 4 * np.pi, 150)
    solution = solve(pose((body, right, left)))
    np.testing.assert_allclose(np.diff(solution.right_angles[:, 0]), 4 * np.pi / 149, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_mirror_image_has_the_mirrored_angles(seed: int) -> None:
    joints = pose(observed_angles(np.random.default_rng(seed), 8))
    joints += np.random.default_rng(seed).normal(0, 1e-4, joints.shape)
    ours, mirrored = solve(joints), solve(mirror_joints(joints))
    np.testing.assert_allclose(mirrored.left_angles[:, 3:], ours.right_angles[:, 3:], atol=1e-9)
    np.testing.assert_allclose(mirrored.right_angles[:, 3:], ours.left_angles[:, 3:], atol=1e-9)
    np.testing.assert_allclose(mirrored.body_angles, (ours.body_angles * BODY_SIGN)[:, BODY_SWAP], atol=0.02)


# ---------------------------------------------------------------- missing landmarks
def test_a_short_gap_is_interpolated_and_flagged() -> None:
    joints = pose(smooth_angles(50, np.random.default_rng(0)))
    confidence = np.ones(joints.shape[:2])
    confidence[20:25, LEFT] = 0
    whole = solve(joints)
    solution = solve_angles(joints, confidence, max_gap=5, body_offsets=BONES[0], hand_offsets=BONES[1])
    between = np.linspace(whole.left_angles[19], whole.left_angles[25], 7)[1:-1]
    np.testing.assert_allclose(solution.left_angles[20:25], between, atol=1e-6)
    assert solution.interpolated.nonzero()[0].tolist() == [20, 21, 22, 23, 24]
    assert not solution.left_valid[20:25].any()
    assert solution.right_valid.all()


def test_a_long_gap_holds_the_nearest_pose_and_is_flagged() -> None:
    joints = pose(smooth_angles(50, np.random.default_rng(0)))
    confidence = np.ones(joints.shape[:2])
    confidence[20:26, LEFT] = 0
    solution = solve_angles(joints, confidence, max_gap=5, body_offsets=BONES[0], hand_offsets=BONES[1])
    fingers = solution.left_angles[:, 3:]
    np.testing.assert_allclose(fingers[20:23], np.tile(fingers[19], (3, 1)))
    np.testing.assert_allclose(fingers[23:26], np.tile(fingers[26], (3, 1)))
    assert solution.interpolated[20:26].all()


def test_before_the_first_and_after_the_last_detection_the_nearest_pose_is_held() -> None:
    joints = pose(smooth_angles(30, np.random.default_rng(0)))
    confidence = np.ones(joints.shape[:2])
    confidence[:3, RIGHT] = confidence[28:, RIGHT] = 0.4
    fingers = solve_angles(joints, confidence).right_angles[:, 3:]
    np.testing.assert_allclose(fingers[:3], np.tile(fingers[3], (3, 1)))
    np.testing.assert_allclose(fingers[28:], np.tile(fingers[27], (2, 1)))


def test_hands_never_seen_are_at_rest_and_the_body_is_unaffected() -> None:
    joints = pose(observed_angles(np.random.default_rng(0), 10))
    confidence = np.ones(joints.shape[:2])
    confidence[:, RIGHT] = confidence[:, LEFT] = 0
    joints[:, RIGHT] = np.nan
    solution = solve_angles(joints, confidence)
    rest = skeleton.OBSERVED_HAND_RANGES.mean(1)
    np.testing.assert_allclose(solution.right_angles, np.tile(rest, (10, 1)))
    np.testing.assert_allclose(solution.body_angles, solve(joints, own_bones=True).body_angles)
    assert np.isnan(solution.hand_offsets).all()
    assert np.isnan(solution.hand_scale).all()


def test_a_video_without_a_person_is_at_rest_flagged_and_has_no_residual() -> None:
    solution = solve_angles(np.full((7, 61, 3), np.nan), np.zeros((7, 61)))
    np.testing.assert_allclose(solution.body_angles, np.tile(skeleton.OBSERVED_BODY_RANGES.mean(1), (7, 1)))
    assert solution.interpolated.all()
    assert np.isnan(solution.residual_m).all()
    np.testing.assert_allclose(solution.video_body_offsets, BONES[0])


def test_a_joint_of_low_confidence_changes_nothing() -> None:
    joints = pose(observed_angles(np.random.default_rng(0), 10))
    wild, confidence = joints.copy(), np.ones(joints.shape[:2])
    wild[4, [2, 8, 30]] = 100.0
    confidence[4, [2, 8, 30]] = 0.49
    seen = solve_angles(joints, confidence)
    for part, angles in angles_of(solve_angles(wild, confidence)).items():
        np.testing.assert_allclose(angles, angles_of(seen)[part])


# ---------------------------------------------------------------- what comes beside the angles
def test_every_flag_is_explained_and_the_strongest_is_given() -> None:
    confidence, across = np.ones((60, 61)), np.full(60, 0.3)
    confidence[5, 30] = 0.2
    confidence[7, 0] = 0
    across[30:] = -0.3
    flags = flag_frames(confidence, across)
    assert flags[[0, 5, 7]].tolist() == ["", "incomplete", "absent"]
    assert set(flags[45:]) == {"turned_away"}
    assert set(flag_frames(confidence[:3], across[:3])) == {"brief"}
    assert {*flags, "brief"} - {""} == set(FLAGS)


def test_one_mistaken_frame_does_not_flag_the_signer_as_turned_away() -> None:
    across = np.full(60, 0.3)
    across[20] = -0.3
    assert set(flag_frames(np.ones((60, 61)), across)) == {""}


def test_the_confidence_of_the_detector_is_kept() -> None:
    confidence = np.random.default_rng(0).uniform(0, 1, (20, 61))
    joints = pose(observed_angles(np.random.default_rng(0), 20))
    np.testing.assert_array_equal(solve_angles(joints, confidence).columns()["confidence"], confidence)


def test_residual_is_the_mean_distance_to_the_joints_seen(noisy: tuple[np.ndarray, Solution]) -> None:
    joints, solution = noisy
    np.testing.assert_allclose(solution.residual_m, errors(solution, joints).mean(1))


def test_offsets_of_a_frame_are_its_own_bones() -> None:
    joints = pose(observed_angles(np.random.default_rng(0), 5))
    joints[2] *= 1.5
    solution = solve(joints)
    np.testing.assert_allclose(solution.body_offsets[:, 0], 0.266 * np.array([1, 1, 1.5, 1, 1]))
    np.testing.assert_allclose(solution.body_offsets[:, 2], 0.931)
    hand = np.tile(BONES[1], (5, 1))
    hand[2, 0] *= 1.5
    np.testing.assert_allclose(solution.hand_offsets, hand)


def test_a_solution_fits_the_angles_table() -> None:
    solution = solve(pose(observed_angles(np.random.default_rng(0), 4)))
    keys = {"video_id": ["a"] * 4, "frame": np.arange(4), "time_s": np.arange(4) / 25}
    assert to_arrow({**keys, **solution.columns()}, ANGLES).num_rows == 4
