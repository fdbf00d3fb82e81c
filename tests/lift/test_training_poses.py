"""Windows of motion: sources are recombined, speeds differ, mirrored palms come back."""

from dataclasses import replace

import numpy as np

from signrep_core.lift.training_poses import (
    Bank,
    Pace,
    Track,
    Variety,
    draw_poses,
    mirror_palms,
    palms_in_forearms,
    rotate_about_neck,
)
from signrep_core.skeleton import HAND_ANGLES
from signrep_core.synthetic.clips import make_bank

AS_IT_IS = Variety(varied=0, random_fingers=0, bones=0, slowest=1, fastest=1)


def test_a_window_lies_within_its_clip_at_any_speed() -> None:
    track = Track(np.arange(30.0)[:, None], np.array([0, 10, 30]))
    pace = Pace(np.array([[1.0], [0.5]]), np.array([[4.0], [40.0]]), np.array([[0, 2, 4], [0, 20, 40.0]]))
    drawn = track.draw(np.array([0, 1]), pace)[..., 0]
    np.testing.assert_allclose(drawn[0], [5, 7, 9])  # the last window of the first clip, at twice the speed
    np.testing.assert_allclose(drawn[1], [10, 29, 29])  # longer than its clip: the last frame is repeated
    half = track.draw(np.array([0]), Pace(np.zeros((1, 1)), np.ones((1, 1)), np.array([[0, 0.5]])))
    np.testing.assert_allclose(half[0, :, 0], [0, 0.5])


def test_fingers_of_one_source_meet_bodies_of_another() -> None:
    bank = make_bank(1, 0)
    only = Track(np.full((5, 38), -0.3), np.array([0, 5]))
    joined: Bank = bank._replace(fingers=(only,))
    poses = draw_poses(joined, 4, 6, np.random.default_rng(0), replace(AS_IT_IS, performed=0))
    bend = HAND_ANGLES.index("ring_pip_x")
    np.testing.assert_allclose(poses.hands[..., bend], -0.3)
    assert poses.body.std() > 0.1
    whole = draw_poses(joined, 4, 6, np.random.default_rng(0), replace(AS_IT_IS, performed=1))
    assert whole.hands[..., bend].std() > 0.1


def test_mirrored_palms_give_back_the_wrists_of_both_hands() -> None:
    bank = make_bank(1, 0)
    body = bank.performed.values[:20, :22]
    palms = [
        mirror_palms(bank.performed.values[:20, 22 + 9 * k : 31 + 9 * k].reshape(-1, 3, 3), side)
        for k, side in enumerate(("right", "left"))
    ]
    wrists = rotate_about_neck(body[None], np.stack(palms)[:, None], np.eye(3)[None])[1][:, 0]
    for k, side in enumerate(("right", "left")):
        again = mirror_palms(palms_in_forearms(side, body, wrists[k]).reshape(-1, 3, 3), "right")
        np.testing.assert_allclose(again, mirror_palms(palms[k], side), atol=1e-6)
