"""Landmarks from detections: axes, metric scale of the hands, attachment at the wrists, confidences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.body.landmarks import Detections, assemble_landmarks, metres_per_pixel, visible_box

SIZE = (480, 640)  # height, width
MPP = 0.002  # metres per pixel of the synthetic signer
HAND = np.array(  # a flat hand upright, pixels from the wrist; its palm is 40 px = 80 mm high
    [(0, 0)]
    + [(-10, -8), (-18, -16), (-24, -24), (-29, -31)]
    + [(x, y) for x in (-12, -4, 4, 12) for y in (-40, -60, -74, -84)],
    float,
)


def signer(frames: int = 3) -> Detections:
    """A still person in front of the camera: right arm raised to the right, left arm to the left, both hands seen."""
    world = np.zeros((19, 3))
    world[[0, 1, 2]] = [(-0.16, -0.5, 0), (-0.3, -0.3, -0.05), (-0.3, -0.5, -0.2)]
    world[[3, 4, 5]] = [(0.16, -0.5, 0), (0.3, -0.3, -0.05), (0.3, -0.5, -0.2)]
    world[[6, 7]] = [(-0.1, 0, 0), (0.1, 0, 0)]
    world[8] = (0, -0.72, -0.1)
    world[9:] = [(0.02 * (i - 5), -0.74, -0.08) for i in range(10)]
    xy = world[:, :2] / MPP + (320, 400)
    hands = np.stack([np.concatenate([xy[w] + HAND, np.linspace(0, -20, 21)[:, None]], 1) for w in (2, 5)])
    once = Detections(xy, world, np.full(19, 0.9), hands, np.array([0.95, 0.85]), np.array([0.98, 0.97]))
    return Detections(*(np.repeat(values[None], frames, 0) for values in vars(once).values()))


def changed(seen: Detections, **columns: np.ndarray) -> Detections:
    return replace(seen, **columns)


def test_the_neck_is_the_origin_and_left_is_positive() -> None:
    xyz = assemble_landmarks(signer(), SIZE).xyz
    np.testing.assert_allclose(xyz[:, [0, 3]].mean(1), 0, atol=1e-7)
    assert (xyz[:, 3, 0] > 0).all(), "the left shoulder lies on +x"
    assert (xyz[:, 6:8, 1] > 0).all(), "the hips lie below, on +y"
    assert (xyz[:, 8, 2] < 0).all(), "the nose is nearer to the camera than the shoulders"


def test_hands_are_attached_to_the_body_wrists() -> None:
    xyz = assemble_landmarks(signer(), SIZE).xyz
    np.testing.assert_array_equal(xyz[:, 19], xyz[:, 2])
    np.testing.assert_array_equal(xyz[:, 40], xyz[:, 5])


def test_hands_have_the_metric_scale_of_the_body() -> None:
    xyz = assemble_landmarks(signer(), SIZE).xyz
    palm = xyz[:, 19 + 9] - xyz[:, 19]  # wrist to middle MCP: 4 px left, 40 px up, and a depth of 9/20 of 20 px
    np.testing.assert_allclose(palm, [[-4 * MPP, -40 * MPP, -9 * MPP]] * 3, atol=1e-6)


def test_a_still_hand_keeps_its_size_when_the_body_jitters() -> None:
    seen = signer(100)
    jitter = 1 + 0.05 * np.random.default_rng(0).standard_normal(100)
    xyz = assemble_landmarks(changed(seen, body_world=seen.body_world * jitter[:, None, None]), SIZE).xyz
    sizes = np.linalg.norm(xyz[:, 28] - xyz[:, 19], axis=-1)
    assert sizes.std() / sizes.mean() < 0.01


def test_the_scale_follows_a_zoom() -> None:
    seen = signer(600)
    zoom = np.where(np.arange(600) < 300, 1.0, 2.0)[:, None, None]
    scale = metres_per_pixel(seen.body_xy * zoom, seen.body_world, seen.visibility)
    np.testing.assert_allclose(scale[[0, 200, 400, 599]], [MPP, MPP, MPP / 2, MPP / 2], rtol=1e-6)


@given(st.floats(0.3, 5), st.floats(-500, 500), st.floats(-500, 500))
def test_landmarks_do_not_depend_on_the_signers_place_and_size_in_the_image(zoom: float, dx: float, dy: float) -> None:
    seen = signer()
    moved = changed(
        seen,
        body_xy=seen.body_xy * zoom + (dx, dy),
        hand_xyz=seen.hand_xyz * zoom + (dx, dy, 0),
    )
    expected, got = assemble_landmarks(seen, SIZE), assemble_landmarks(moved, SIZE)
    np.testing.assert_allclose(got.xyz, expected.xyz, atol=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_mirroring_the_image_swaps_the_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = signer(2)
    seen = changed(seen, hand_xyz=seen.hand_xyz + rng.normal(0, 5, seen.hand_xyz.shape))
    sides = [3, 4, 5, 0, 1, 2, 7, 6, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17]
    flip_xy, flip_xyz = np.array([-1, 1]), np.array([-1, 1, 1])
    mirrored = Detections(
        seen.body_xy[:, sides] * flip_xy + (640, 0),
        seen.body_world[:, sides] * flip_xyz,
        seen.visibility[:, sides],
        seen.hand_xyz[:, ::-1] * flip_xyz + (640, 0, 0),
        seen.hand_presence[:, ::-1],
        seen.handedness[:, ::-1],
    )
    joints = [*sides, *range(40, 61), *range(19, 40)]
    a, b = assemble_landmarks(seen, SIZE), assemble_landmarks(mirrored, SIZE)
    np.testing.assert_allclose(b.xyz, a.xyz[:, joints] * flip_xyz, atol=1e-5)
    np.testing.assert_allclose(b.confidence, a.confidence[:, joints], atol=1e-6)


def test_a_frame_without_a_person_is_nan_with_confidence_zero() -> None:
    seen = signer()
    for values in (seen.body_xy, seen.body_world, seen.hand_xyz):
        values[1] = np.nan
    for values in (seen.visibility, seen.hand_presence, seen.handedness):
        values[1] = 0
    got = assemble_landmarks(seen, SIZE)
    assert np.isnan(got.xyz[1]).all()
    assert np.isnan(got.image_xy[1]).all()
    assert np.isnan(got.box[1]).all()
    assert (got.confidence[1] == 0).all()
    assert np.isfinite(got.xyz[[0, 2]]).all(), "its neighbours are untouched"


def test_a_plausible_hand_has_its_presence_score_as_confidence() -> None:
    confidence = assemble_landmarks(signer(), SIZE).confidence
    np.testing.assert_allclose(confidence[:, 19:40], 0.95, atol=1e-6)
    np.testing.assert_allclose(confidence[:, 40:61], 0.85, atol=1e-6)


def test_a_hand_that_was_not_detected_is_nan_with_confidence_zero() -> None:
    seen = signer()
    seen.hand_xyz[:, 0] = np.nan
    seen.hand_presence[:, 0] = seen.handedness[:, 0] = 0
    got = assemble_landmarks(seen, SIZE)
    assert np.isnan(got.xyz[:, 19:40]).all()
    assert (got.confidence[:, 19:40] == 0).all()
    np.testing.assert_allclose(got.confidence[:, 40:61], 0.85, atol=1e-6)


def test_one_hand_detected_twice_is_certain_only_on_its_own_arm() -> None:
    seen = signer()
    seen.body_xy[:, 2] = seen.body_xy[:, 5] + (-35, 0)  # the wrists 70 mm apart, as with folded hands
    seen.hand_xyz[:, 0] = seen.hand_xyz[:, 1]
    seen.handedness[:, 0] = 0.1
    confidence = assemble_landmarks(seen, SIZE).confidence
    assert (confidence[:, 19:40] < 0.5).all()
    assert (confidence[:, 40:61] > 0.8).all()


def test_palms_pressed_together_are_both_kept() -> None:
    seen = signer()
    seen.body_xy[:, 2] = seen.body_xy[:, 5] + (-10, 0)
    seen.hand_xyz[:, 0] = seen.hand_xyz[:, 1] - (10, 0, 0)
    assert (assemble_landmarks(seen, SIZE).confidence[:, 19:] > 0.8).all()


@pytest.mark.parametrize(("metres", "certain"), [(0.02, True), (0.05, True), (0.13, False), (0.3, False)])
def test_a_hand_far_from_its_arm_is_not_certain(metres: float, certain: bool) -> None:
    seen = signer()
    seen.hand_xyz[:, 0, :, 0] -= metres / MPP
    assert ((assemble_landmarks(seen, SIZE).confidence[:, 19:40] >= 0.5) == certain).all()


def test_a_hand_at_the_other_arms_wrist_is_not_certain() -> None:
    seen = signer()
    seen.body_xy[:, 5] = seen.body_xy[:, 2] + (30, 0)
    seen.hand_xyz[:, 1] = np.nan
    seen.hand_xyz[:, 0] += (30, 0, 0)  # 60 mm from its own wrist, on the other one
    assert (assemble_landmarks(seen, SIZE).confidence[:, 19:40] < 0.5).all()


@pytest.mark.parametrize("factor", [0.1, 5.0])
def test_a_hand_of_impossible_size_is_not_certain(factor: float) -> None:
    seen = signer()
    wrist = seen.hand_xyz[:, :1, :1]
    seen.hand_xyz[:, :1] = wrist + (seen.hand_xyz[:, :1] - wrist) * factor
    assert (assemble_landmarks(seen, SIZE).confidence[:, 19:40] < 0.5).all()


def test_fingers_outside_the_image_have_a_low_confidence() -> None:
    seen = signer()
    lowest_tip = seen.hand_xyz[0, 0, :, 1].min()
    shifted = changed(
        seen, body_xy=seen.body_xy - (0, lowest_tip + 20), hand_xyz=seen.hand_xyz - (0, lowest_tip + 20, 0)
    )
    got = assemble_landmarks(shifted, SIZE)
    assert (got.confidence[:, 19 + 12] < 0.5).all(), "the middle fingertip is above the picture"
    assert (got.confidence[:, 19] > 0.9).all(), "the wrist is inside"


def test_the_box_holds_exactly_the_visible_joints() -> None:
    image_xy = np.full((1, 61, 2), np.nan)
    confidence = np.zeros((1, 61))
    image_xy[0, :3] = [(10, 20), (30, 5), (500, 500)]
    confidence[0, :3] = [0.9, 0.5, 0.49]
    np.testing.assert_array_equal(visible_box(image_xy, confidence), [[10, 5, 30, 20]])
