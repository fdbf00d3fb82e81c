"""The skeleton figure: every joint once with its index, on the right side."""

import numpy as np
import pytest

from signrep_core.__main__ import main
from signrep_core.inspect.figures.skeleton import lay_flat, skeleton_figure, stand
from signrep_core.skeleton import BODY_EDGES, FINGER_EDGES, HANDS, SIDES


def test_every_joint_has_its_index_in_its_panel():
    panels = {axes.get_title(): {text.get_text() for text in axes.texts} for axes in skeleton_figure().axes}
    assert panels["right hand"] == {str(k) for k in range(19, 40)}
    assert panels["left hand"] == {str(k) for k in range(40, 61)}
    assert panels["head, enlarged"] == {str(k) for k in range(8, 19)}
    assert panels["body"] == {"0", "1", "2 = 19", "3", "4", "5 = 40", "6", "7", "neck, the origin"}


def test_links_join_every_joint_of_a_hand_once_and_all_of_the_body():
    assert sorted(b for _, b in FINGER_EDGES) == list(range(1, 21))
    assert [link for link in FINGER_EDGES if 0 in link] == [(0, 1), (0, 5), (0, 9), (0, 13), (0, 17)]
    assert {joint for link in BODY_EDGES for joint in link} == set(range(19))


@pytest.mark.parametrize(("side", "sign"), [("right", 1), ("left", -1)])
def test_a_flat_hand_points_up_with_the_thumb_to_the_middle(side, sign):
    flat = lay_flat(stand()[HANDS[side]], side)
    assert (flat[1:, 1] < flat[0, 1]).all()  # y down: above the wrist
    assert sign * flat[4, 0] > sign * flat[8, 0] > sign * flat[20, 0]  # thumb, index, little finger from the middle out
    np.testing.assert_allclose(flat[:, 0], -lay_flat(stand()[HANDS[SIDES[sign > 0]]], SIDES[sign > 0])[:, 0], atol=1e-9)


def test_the_signers_right_is_on_our_left():
    joints = stand()
    assert joints[0, 0] < joints[3, 0]
    assert joints[2, 1] > joints[0, 1]  # hands below the shoulders


def test_the_command_draws_the_figure(tmp_path):
    assert main(["figures", "skeleton", "--out", str(tmp_path / "skeleton.svg")]) == 0
    assert (tmp_path / "skeleton.svg").read_text().startswith("<?xml")
