"""The inventory: enough glosses, existing forms, minimal pairs that are minimal, consistent sentences."""

from dataclasses import fields
from itertools import combinations

import numpy as np
import pytest

from signrep_core.errors import ConfigError
from signrep_core.skeleton import HAND_LIMITS
from signrep_core.synthetic.signs import (
    BY_GLOSS,
    MINIMAL_PAIRS,
    MOVES,
    ORDER,
    PLACES,
    SHAPES,
    SIGNS,
    direction,
    make_sentence,
    shape_angles,
)

FORM = ("shape", "place", "fingers", "palm", "move", "part", "hands", "end_shape", "base")


def test_there_are_at_least_sixty_glosses_all_different():
    forms = [tuple(getattr(sign, name) for name in FORM) for sign in SIGNS]
    assert len(SIGNS) >= 60
    assert len(BY_GLOSS) == len(SIGNS)
    assert len(set(forms)) == len(SIGNS)


def test_every_sign_uses_shapes_places_and_movements_that_exist():
    for sign in SIGNS:
        assert {sign.shape, sign.base[0], sign.end_shape or sign.shape} <= set(SHAPES)
        assert sign.place in PLACES
        assert sign.move in MOVES
        assert sign.hands in ("one", "both", "alternate", "base")


def test_the_inventory_has_edge_on_palms_touching_hands_and_hands_before_the_face():
    edge_on = [sign for sign in SIGNS if abs(direction(sign.palm)[0]) > 0.9]
    touching = [sign for sign in SIGNS if sign.hands == "base" or sign.place == "meet"]
    before_the_face = [sign for sign in SIGNS if sign.place in ("face", "veil", "eyes", "nose", "mouth")]
    assert min(map(len, (edge_on, touching, before_the_face))) >= 5


@pytest.mark.parametrize(
    ("respect", "pair"), [(respect, pair) for respect, pairs in MINIMAL_PAIRS.items() for pair in pairs]
)
def test_a_minimal_pair_differs_in_one_respect_only(respect, pair):
    one, other = (BY_GLOSS[gloss] for gloss in pair)
    assert [name for name in FORM if getattr(one, name) != getattr(other, name)] == [respect]


def test_every_respect_has_a_minimal_pair():
    assert {"shape", "place", "move"} == set(MINIMAL_PAIRS)
    assert {field.name for field in fields(SIGNS[0])} >= set(FORM)


def test_hand_shapes_are_within_the_joint_limits_and_distinct():
    angles = {name: shape_angles(name) for name in SHAPES}
    for name, values in angles.items():
        low, high = HAND_LIMITS[3:].T
        assert np.all((values >= low - 1e-9) & (values <= high + 1e-9)), name
    for one, other in combinations(angles, 2):
        assert np.abs(angles[one] - angles[other]).max() > np.radians(9), (one, other)


def test_a_direction_is_the_weighted_sum_of_its_words():
    assert direction("up") == pytest.approx([0, 1, 0])
    assert direction("0.5in+forward") == pytest.approx(np.array([-0.5, 0, 1]) / np.sqrt(1.25))


@pytest.mark.parametrize("name", MOVES)
def test_movements_are_smooth_and_stay_within_reach(name):
    shift, turn, mix = MOVES[name](np.linspace(0, 1, 200))
    assert np.abs(shift).max() < 0.2
    assert np.linalg.norm(np.diff(shift, axis=0), axis=1).max() < 0.02
    assert np.abs(np.diff(turn, axis=0)).max() < np.radians(8)
    assert 0 <= mix.min() <= mix.max() <= 1


def test_sentences_sign_what_their_text_says():
    rng = np.random.default_rng(0)
    sentences = [make_sentence(rng, frozenset(ORDER)) for _ in range(300)]
    assert len({glosses for glosses, _ in sentences}) > 150
    for glosses, text in sentences:
        assert "{" not in text
        for gloss in glosses:
            sign = BY_GLOSS[gloss]
            if sign.kind != "verb":
                assert sign.word in text


def test_verbs_take_objects_that_fit_them():
    rng = np.random.default_rng(1)
    sentences = [make_sentence(rng, frozenset(ORDER)) for _ in range(500)]
    eaten = {glosses[-2] for glosses, _ in sentences if glosses[-1] == "EAT"}
    assert eaten == {"BREAD", "APPLE", "ONION"}


def test_too_few_glosses_for_any_sentence_are_refused_with_what_to_do():
    with pytest.raises(ConfigError, match="allow more of them"):
        make_sentence(np.random.default_rng(0), frozenset({"HELLO"}))
