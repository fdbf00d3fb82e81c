"""Performances: joints follow from angles within the limits, hands go where signs say, arms stay out of the trunk."""

import numpy as np
import pytest

from signrep_core.body.kinematics import forward_kinematics
from signrep_core.skeleton import BODY_LIMITS, HAND_LIMITS, HANDS
from signrep_core.synthetic.anatomy import trunk_section
from signrep_core.synthetic.perform import MOST_BEND, NO_GLOSS, perform
from signrep_core.synthetic.signer import make_signer
from signrep_core.synthetic.signs import ORDER

RIGHT_HANDED = next(seed for seed in range(50) if not make_signer(seed).left_handed)
LEFT_HANDED = next(seed for seed in range(50) if make_signer(seed).left_handed)


def joints_of(signer, motion):
    return forward_kinematics(motion.body, motion.right, motion.left, signer.body_offsets, signer.hand_offsets)


def act(gloss, seed=RIGHT_HANDED, take=0):
    signer = make_signer(seed)
    motion = perform(signer, (gloss,), take)
    return signer, motion, joints_of(signer, motion)


@pytest.fixture(scope="module")
def whole_inventory():
    cast = [make_signer(seed) for seed in range(7)]
    return [
        (gloss, signer, motion, joints_of(signer, motion))
        for k, gloss in enumerate(ORDER)
        for signer in [cast[k % len(cast)]]
        for motion in [perform(signer, (gloss,), k)]
    ]


def test_all_angles_are_within_the_joint_limits(whole_inventory):
    for gloss, _, motion, _ in whole_inventory:
        for angles, limits in ((motion.body, BODY_LIMITS), (motion.right, HAND_LIMITS), (motion.left, HAND_LIMITS)):
            low, high = limits.T
            slack = np.radians(3)  # small shape jitter
            assert np.all((angles >= low - slack) & (angles <= high + slack)), gloss


def test_movement_is_never_faster_than_people_move(whole_inventory):
    for gloss, _, motion, joints in whole_inventory:
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * motion.fps
        assert speed[:, [2, 5]].max() < 5.0, gloss  # wrists, m/s
        assert speed.max() < 12.0, gloss


def test_wrists_bend_no_more_than_people_can(whole_inventory):
    for gloss, _, _, joints in whole_inventory:
        for elbow, wrist, side in ((1, 2, "right"), (4, 5, "left")):
            forearm = joints[:, wrist] - joints[:, elbow]
            palm = joints[:, HANDS[side].start + 5] - joints[:, wrist]  # along the index metacarpal
            cosine = (forearm * palm).sum(-1) / np.linalg.norm(forearm, axis=-1) / np.linalg.norm(palm, axis=-1)
            assert np.arccos(cosine).max() < MOST_BEND + np.radians(4), gloss


def test_hands_and_forearms_stay_out_of_the_trunk(whole_inventory):
    for gloss, signer, _, joints in whole_inventory:
        forearm = joints[:, [1, 4]] * 0.3 + joints[:, [2, 5]] * 0.7
        points = np.concatenate([joints[:, 19:], forearm], 1)
        spine = joints[:, [6, 7]].mean(1) / np.linalg.norm(joints[:, [6, 7]].mean(1), axis=-1, keepdims=True)
        down = (points * spine[:, None]).sum(-1)
        off = points - down[..., None] * spine[:, None]
        width, depth, shift = trunk_section(signer, down)
        inside = (off[..., 0] / width) ** 2 + ((-off[..., 2] - shift) / depth) ** 2
        assert inside[(down > 0.05) & (down < 0.45)].min(initial=9) > 0.72, gloss  # 15 % of the half width at most


def test_signing_begins_and_ends_with_the_hands_down(whole_inventory):
    for gloss, signer, _, joints in whole_inventory:
        wrists = joints[[0, 0, -1, -1], [2, 5, 2, 5]]
        assert np.all(wrists[:, 1] > 1.1 * signer.upper_arm), gloss


@pytest.mark.parametrize(
    ("gloss", "tip", "landmark", "reach"),
    [("RED", 8, [17, 18], 0.075), ("APPLE", 8, [16], 0.10), ("SEE", 8, [13], 0.065), ("MOTHER", 4, [17, 18], 0.07)],
)
def test_the_hand_touches_the_place_of_the_sign(gloss, tip, landmark, reach):
    _, motion, joints = act(gloss)
    stroke = motion.gloss != NO_GLOSS
    distance = np.linalg.norm(joints[:, 19 + tip] - joints[:, landmark].mean(1), axis=-1)
    assert distance[stroke].min() < reach


def test_two_hands_meet_and_part_where_the_sign_says_so():
    _, motion, joints = act("BIG")
    stroke = np.flatnonzero(motion.gloss != NO_GLOSS)
    tips = joints[:, 27] - joints[:, 48]
    assert np.linalg.norm(tips[stroke[0]]) < 0.06
    assert np.linalg.norm(tips[stroke[-1]]) > 0.15


def test_hands_do_not_run_through_each_other(whole_inventory):
    for gloss, _, _, joints in whole_inventory:
        apart = np.linalg.norm(joints[:, 19:40, None] - joints[:, None, 40:61], axis=-1)
        assert apart.min() > 0.007, gloss  # fingers, 0.016 thick, may press on each other, not pass


def test_a_left_handed_signer_mirrors_the_sign():
    _, motion, joints = act("HELLO", LEFT_HANDED)
    stroke = motion.gloss != NO_GLOSS
    assert motion.signing["left"][stroke].all()
    assert not motion.signing["right"].any()
    assert joints[stroke, 5, 1].mean() < 0 < joints[stroke, 2, 1].mean()  # left hand up, right hand down
    assert joints[stroke, 5, 0].mean() > 0


def test_the_same_seed_gives_the_same_angles_and_another_take_others():
    signer = make_signer(1)
    one, again, other = (perform(signer, ("TREE",), take) for take in (5, 5, 6))
    np.testing.assert_allclose(one.body, again.body, atol=1e-9)
    np.testing.assert_allclose(one.right, again.right, atol=1e-9)
    n = min(len(one), len(other))
    assert np.abs(one.body[:n] - other.body[:n]).max() > np.radians(2)


def test_people_sign_at_different_paces_and_sizes():
    lengths = {len(perform(make_signer(seed), ("TREE",), 0)) for seed in range(8)}
    assert len(lengths) > 3


def test_a_sentence_signs_its_glosses_in_order_with_transitions_between():
    signer = make_signer(2)
    motion = perform(signer, ("YOU", "BOOK", "WANT"), 0)
    changes = motion.gloss[np.flatnonzero(np.diff(motion.gloss, prepend=NO_GLOSS))]
    assert changes.tolist() == [0, NO_GLOSS, 1, NO_GLOSS, 2, NO_GLOSS]
    between = np.flatnonzero(motion.gloss == 1)[0] - 2
    wrist = joints_of(signer, motion)[between, 2 if not signer.left_handed else 5]
    assert wrist[1] < 0.9 * signer.upper_arm * 1.9  # the hands stay up between two signs


def test_eyes_blink_and_the_mouth_moves():
    motion = perform(make_signer(3), ("YOU", "BOOK", "WANT", "CAR", "RED"), 1)
    assert motion.lids.min() < 0.3 < 0.9 < motion.lids.max() <= 1
    assert motion.mouth.max() > 0.1


def test_an_unknown_gloss_is_refused():
    with pytest.raises(KeyError, match="NOPE"):
        perform(make_signer(0), ("NOPE",), 0)
