"""Euler angles and rotation matrices, compared with scipy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from signrep_core.body.rotations import (
    aim_z,
    inverse_rotate,
    nearest_turn,
    perpendicular,
    pull_to_rest,
    rotation_about,
    rotation_matrices,
    rotation_vector,
    unit,
    xyz_angles,
    zxy_angles,
)


def columns(rotation: Rotation) -> list[np.ndarray]:
    return list(rotation.as_matrix().transpose(2, 1, 0))


@pytest.mark.parametrize(("axes", "solve"), [("XYZ", xyz_angles), ("ZXY", zxy_angles)])
def test_angles_of_a_frame_are_those_it_was_rotated_by(axes: str, solve: object) -> None:
    angles = np.random.default_rng(0).uniform((-3, -1.5, -3), (3, 1.5, 3), (50, 3))
    np.testing.assert_allclose(solve(columns(Rotation.from_euler(axes, angles))), angles.T, atol=1e-9)


@pytest.mark.parametrize("middle", [np.pi / 2, -np.pi / 2])
@pytest.mark.parametrize(("axes", "solve"), [("XYZ", xyz_angles), ("ZXY", zxy_angles)])
def test_angles_still_give_the_frame_where_two_axes_fall_together(axes: str, solve: object, middle: float) -> None:
    frame = Rotation.from_euler(axes, [[0.7, middle, 0.4]])
    angles = solve(columns(frame))
    np.testing.assert_allclose(Rotation.from_euler(axes, angles.T).as_matrix(), frame.as_matrix(), atol=1e-9)


def test_aim_brings_z_along_a_vector() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 20))
    x, y = aim_z(vectors)
    turned = Rotation.from_euler("XYZ", np.stack((x, y, 0 * x), -1)).as_matrix()[:, :, 2]
    np.testing.assert_allclose(turned.T, unit(vectors), atol=1e-12)


@pytest.mark.parametrize("axis", "xyz")
def test_the_inverse_rotation_undoes_a_rotation(axis: str) -> None:
    vector = np.array([[1.0], [2], [3]])
    turned = Rotation.from_euler(axis, 0.8).as_matrix() @ vector
    np.testing.assert_allclose(inverse_rotate(axis, np.array([0.8]), turned), vector)


def test_the_perpendicular_part_of_a_vector() -> None:
    np.testing.assert_allclose(perpendicular(np.array([[1.0], [1], [0]]), np.array([[0.0], [1], [0]])), [[1], [0], [0]])


def test_multiples_of_360_degrees_bring_an_angle_near_its_limits() -> None:
    limits = np.radians([[-120.0, 10]])  # the middle is -55°
    angles = np.degrees(nearest_turn(np.radians([[170.0, -100, 124, 300]]), limits))
    np.testing.assert_allclose(angles, [[-190, -100, 124, -60]])


def test_an_angle_with_little_evidence_is_pulled_to_rest() -> None:
    angles = pull_to_rest(np.array([1.0, 1.0, 1.0]), np.array([0.0, 3.0, 1e9]), 0.2, 1.0)
    np.testing.assert_allclose(angles, [0.2, 0.2 + 0.75 * 0.8, 1.0], atol=1e-8)


def test_an_angle_is_pulled_the_short_way_round() -> None:
    np.testing.assert_allclose(pull_to_rest(np.array([3.0]), np.array([1.0]), -3.0, 1.0), [-3 + 0.5 * (6 - 2 * np.pi)])


def test_rotation_matrices_are_those_of_their_vectors() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(rotation_matrices(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rotation_matrices(np.zeros(3)), np.eye(3))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1.0, np.pi - 1e-5, np.pi])
def test_the_vector_of_a_rotation_gives_its_matrix_again(angle: float) -> None:
    matrix = Rotation.from_rotvec(angle * np.array([0.6, 0, 0.8])).as_matrix()
    np.testing.assert_allclose(rotation_matrices(rotation_vector(matrix)), matrix, atol=2e-5)


@pytest.mark.parametrize("axis", "xyz")
def test_a_rotation_about_an_axis(axis: str) -> None:
    np.testing.assert_allclose(rotation_about(axis, 0.8), Rotation.from_euler(axis, 0.8).as_matrix(), atol=1e-12)
