"""Signers and scenes are pure functions of a seed, and their bones agree with what is drawn."""

import numpy as np
import pytest

from signrep_core.body.kinematics import forward_kinematics
from signrep_core.skeleton import DEFAULT_BODY_OFFSETS, DEFAULT_HAND_OFFSETS
from signrep_core.synthetic.signer import make_scene, make_signer, project

SEEDS = range(40)


def test_the_same_seed_gives_the_same_person_and_another_seed_another():
    again, one, other = make_signer(3), make_signer(3), make_signer(4)
    np.testing.assert_allclose(one.body_offsets, again.body_offsets)
    assert (one.skin, one.hair, one.top, one.sleeve) == (again.skin, again.hair, again.top, again.sleeve)
    assert not np.allclose(one.body_offsets, other.body_offsets)


def test_people_differ_in_skin_hair_clothes_and_handedness():
    people = [make_signer(seed) for seed in SEEDS]
    lightness = [sum(person.skin) / 3 for person in people]
    assert max(lightness) - min(lightness) > 0.4
    assert len({person.hair_style for person in people}) >= 6
    assert len({person.sleeve for person in people}) == 4
    assert {person.left_handed for person in people} == {True, False}


def test_skin_keeps_a_natural_hue():
    for seed in SEEDS:
        red, green, blue = make_signer(seed).skin
        assert red > green > blue


def test_limb_lengths_stay_near_those_measured_on_people():
    for seed in SEEDS:
        signer = make_signer(seed)
        assert signer.body_offsets[:4] == pytest.approx(DEFAULT_BODY_OFFSETS[:4], rel=0.15)
        assert signer.hand_offsets == pytest.approx(DEFAULT_HAND_OFFSETS, rel=0.25)


def test_the_upright_face_has_its_landmarks_where_kinematics_puts_them():
    signer = make_signer(5)
    body = np.zeros(22)
    body[13] = signer.face.upright
    joints = forward_kinematics(body, np.zeros(41), np.zeros(41), signer.body_offsets, signer.hand_offsets)
    left = joints[[10, 15, 17]] - joints[8]  # eye, ear, mouth corner, from the nose
    expected = np.stack([signer.face.eye, signer.face.ear, signer.face.mouth])
    assert left == pytest.approx(expected, abs=1e-9)
    assert joints[[13, 16, 18]] - joints[8] == pytest.approx(expected * [-1, 1, 1], abs=1e-9)


def test_a_point_ahead_of_the_camera_projects_to_the_middle():
    signer = make_signer(0)
    scene = make_scene(0, signer)
    assert project(scene, np.array([0.0, 0.0, 1.0]) * 0.3 - scene.neck * [1, 1, 0], 200) == pytest.approx([100, 100])


def test_head_and_hips_are_in_every_frame():
    body, hand = np.zeros(22), np.zeros(41)
    for seed in SEEDS:
        signer = make_signer(seed)
        body[[13, 15, 20]] = signer.face.upright, np.radians(-17), np.radians(11)
        scene = make_scene(seed, signer)
        joints = forward_kinematics(body, hand, hand, signer.body_offsets, signer.hand_offsets)
        crown = joints[8] + [0, -0.16, 0.09]
        pixels = project(scene, np.vstack([joints[[0, 3, 6, 7]], crown]) @ scene.view.T, 320)
        assert pixels.min() > 0
        assert pixels.max() < 320
