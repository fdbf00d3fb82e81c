"""The signs: hand shapes, directions, places, movements, the inventory of glosses, minimal pairs and the small grammar.

The inventory is invented for measurement; it is not a natural sign language. Signs are written for a
right-handed signer. A direction is a sum of words: up, down, forward, back (towards the signer), in (across
the body), out.

Legend: shapes in degrees of flexion; u runs from 0 to 1 over a sign's stroke; (out, up, forward) in metres.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import ConfigError

Floats = NDArray[np.float64]

# ---------------------------------------------------------------- hand shapes
# Thumb angles (degrees) in the order of skeleton.HAND_ANGLES[3:13].
THUMBS: Final[dict[str, tuple[float, ...]]] = {
    "out": (-10, -39, -22, 18, 8, -19, -6, -12, 28, -40),
    "side": (-34, -39, -30, 20, 10, -53, -34, 21, -25, -48),
    "across": (-16, -39, -4, -22, 34, -25, -35, 22, -21, -56),
    "folded": (-36, -39, -28, -19, 46, -44, -35, 22, -19, -56),
    "oppose": (-5, -39, -4, -22, 14, -26, -35, -12, 6, -35),
    "front": (-3, -39, -4, -9, 11, -22, -35, 22, -5, -52),
    "pinch": (-27, -29, -14, -7, 33, -36, -22, 7, 0, -16),
    "round": (-26, -37, -13, -8, 37, -36, -32, 9, 0, -18),
    "easy": (-8, -39, -12, 6, 12, -27, -32, -10, 7, -42),
}
_STRAIGHT, _FOLDED, _HOOKED = (1, 3, 3), (84, 100, 58), (8, 78, 48)


@dataclass(frozen=True)
class HandShape:
    """Flexion (knuckle, middle joint, end joint) of the four fingers, their spread (1 = wide), and the thumb."""

    fingers: tuple[tuple[float, float, float], ...]
    thumb: str
    spread: float = 0.0
    lateral: tuple[float, float, float, float] = (0, 0, 0, 0)  # extra sideways rotation of each finger, degrees


def _four(flexion: tuple[float, float, float]) -> tuple[tuple[float, float, float], ...]:
    return (flexion,) * 4


SHAPES: Final[dict[str, HandShape]] = {
    "rest": HandShape(((22, 26, 14), (26, 32, 16), (28, 34, 16), (30, 34, 16)), "easy", 0.25),
    "flat": HandShape(_four(_STRAIGHT), "side"),
    "five": HandShape(_four((-3, 5, 4)), "out", 1.15),
    "four": HandShape(_four(_STRAIGHT), "folded", 0.8),
    "fist": HandShape(_four(_FOLDED), "across"),
    "thumb": HandShape(_four(_FOLDED), "out"),
    "point": HandShape((_STRAIGHT, _FOLDED, _FOLDED, _FOLDED), "across"),
    "ell": HandShape((_STRAIGHT, _FOLDED, _FOLDED, _FOLDED), "out"),
    "vee": HandShape((_STRAIGHT, _STRAIGHT, _FOLDED, _FOLDED), "across", 0.0, (-9, 10, 0, 0)),
    "two": HandShape((_STRAIGHT, _STRAIGHT, _FOLDED, _FOLDED), "across"),
    "three": HandShape((_STRAIGHT, _STRAIGHT, _FOLDED, _FOLDED), "out", 0.0, (-6, 8, 0, 0)),
    "double": HandShape((_STRAIGHT, _STRAIGHT, _STRAIGHT, _FOLDED), "folded", 0.9),
    "pinky": HandShape((_FOLDED, _FOLDED, _FOLDED, _STRAIGHT), "across"),
    "why": HandShape((_FOLDED, _FOLDED, _FOLDED, _STRAIGHT), "out", 0.9),
    "love": HandShape((_STRAIGHT, _FOLDED, _FOLDED, _STRAIGHT), "out", 0.9),
    "horns": HandShape((_STRAIGHT, _FOLDED, _FOLDED, _STRAIGHT), "across", 0.6),
    "hook": HandShape((_HOOKED, _FOLDED, _FOLDED, _FOLDED), "across"),
    "claw": HandShape(_four((10, 52, 32)), "oppose", 1.0),
    "cup": HandShape(_four((34, 36, 18)), "oppose", 0.1),
    "round": HandShape(_four((50, 52, 28)), "round"),
    "okay": HandShape(((48, 45, 25), (4, 6, 4), (2, 5, 4), (0, 4, 3)), "pinch", 0.8),
    "bunch": HandShape(((62, 20, 10), (64, 22, 10), (66, 24, 10), (68, 26, 12)), "pinch"),
    "bent": HandShape(_four((72, 8, 5)), "side"),
    "pick": HandShape(((48, 45, 25), _FOLDED, _FOLDED, _FOLDED), "pinch"),
    "middle": HandShape(((2, 4, 3), (56, 14, 8), (2, 5, 4), (0, 4, 3)), "out", 1.0),
}
_PARALLEL: Final = (18.5, 1.5, -14.0, -28.0)  # sideways knuckle angles that make the fingers parallel
_SPREAD: Final = (-11.0, -2.0, 5.0, 11.0)
_METACARPALS: Final = (-2.0, 12.0, 25.0, 38.0)
FINGER_AXIS: Final = np.radians(13.0)  # the parallel fingers' direction in the palm frame, towards the pinky


def shape_angles(name: str) -> Floats:
    """(38,) radians: a shape's finger angles in the order of skeleton.HAND_ANGLES[3:]."""
    shape = SHAPES[name]
    angles = list(THUMBS[shape.thumb])
    for k, (knuckle, middle, end) in enumerate(shape.fingers):
        straight = float(np.cos(np.radians(knuckle)))  # folded fingers are parallel as they are, and cannot spread
        sideways = straight * (_PARALLEL[k] + shape.spread * _SPREAD[k] + shape.lateral[k])
        angles += [0, _METACARPALS[k], 0, -knuckle, sideways, -middle, -end]
    return np.radians(angles)


# ---------------------------------------------------------------- directions
_WORDS: Final = {
    "up": (0, 1, 0), "down": (0, -1, 0), "forward": (0, 0, 1), "back": (0, 0, -1), "in": (-1, 0, 0), "out": (1, 0, 0),
}  # fmt: skip


def direction(words: str) -> Floats:
    """Unit vector (out, up, forward) of a sum of direction words; a word may be weighted as in `up+0.4in`."""
    total = np.zeros(3)
    for term in words.split("+"):
        word = term.lstrip("0123456789.")
        total += float(term[: len(term) - len(word)] or 1) * np.array(_WORDS[word], float)
    return total / np.linalg.norm(total)


# ---------------------------------------------------------------- places
@dataclass(frozen=True)
class Place:
    """A place of signing: an anchor on the body plus (out, up, forward) in metres for an average build."""

    anchor: str  # neck, face, chest, other (the passive hand)
    offset: tuple[float, float, float]


PLACES: Final[dict[str, Place]] = {
    "neutral": Place("neck", (0.15, -0.13, 0.28)),
    "centre": Place("neck", (0.045, -0.16, 0.28)),
    "meet": Place("neck", (0.012, -0.16, 0.27)),
    "low": Place("neck", (0.12, -0.28, 0.26)),
    "high": Place("neck", (0.20, 0.12, 0.24)),
    "far": Place("neck", (0.30, -0.06, 0.24)),
    "forehead": Place("face", (0.012, 0.082, 0.010)),
    "temple": Place("face", (0.066, 0.060, -0.040)),
    "eyes": Place("face", (0.030, 0.040, 0.012)),
    "face": Place("face", (0.010, 0.030, 0.070)),
    "veil": Place("face", (0.060, 0.040, 0.085)),
    "nose": Place("face", (0.002, 0.000, 0.010)),
    "cheek": Place("face", (0.054, -0.008, -0.022)),
    "ear": Place("face", (0.088, 0.018, -0.075)),
    "mouth": Place("face", (0.004, -0.034, -0.006)),
    "chin": Place("face", (0.004, -0.064, -0.008)),
    "throat": Place("face", (0.004, -0.120, -0.045)),
    "heart": Place("chest", (-0.05, -0.10, 0.006)),
    "chest": Place("chest", (0.03, -0.12, 0.006)),
    "shoulder": Place("chest", (-0.12, -0.045, 0.010)),
    "belly": Place("chest", (0.02, -0.28, 0.006)),
    "palm": Place("other", (0, 0, 0)),
    "fingers": Place("other", (0, 0, 0)),
    "wrist": Place("other", (0, 0, 0)),
}

# ---------------------------------------------------------------- movements
Stroke = tuple[Floats, Floats, Floats]  # displacement (T, 3), turn (T, 3) of twist, nod, wag; mix (T,) of the end shape


def _smooth(u: Floats) -> Floats:
    u = np.clip(u, 0, 1)
    return u * u * u * (10 - 15 * u + 6 * u * u)


def _stroke(u: Floats, shift: tuple[Floats | float, ...] = (0, 0, 0), turn: tuple[Floats | float, ...] = (0, 0, 0),
            mix: Floats | float = 0.0) -> Stroke:  # fmt: skip
    zero = np.zeros_like(u)
    return (
        np.stack([zero + x for x in shift], -1),
        np.radians(np.stack([zero + x for x in turn], -1)),
        zero + mix,
    )


def _line(out: float, up: float, forward: float) -> Callable[[Floats], Stroke]:
    return lambda u: _stroke(u, tuple((_smooth(u) - 0.5) * d for d in (out, up, forward)))


def _away(out: float, up: float, forward: float) -> Callable[[Floats], Stroke]:
    """A movement away from the place."""
    return lambda u: _stroke(u, tuple(_smooth((u - 0.15) / 0.85) * d for d in (out, up, forward)))


def _taps(out: float, up: float, forward: float, times: int = 2) -> Callable[[Floats], Stroke]:
    """Touch the place `times` times, with excursions of (out, up, forward) between."""
    return lambda u: _stroke(u, tuple(0.5 * (1 + np.cos(2 * np.pi * times * u)) * d for d in (out, up, forward)))


def _circle(radius: float, plane: str, times: float = 1.5) -> Callable[[Floats], Stroke]:
    def move(u: Floats) -> Stroke:
        angle = 2 * np.pi * times * u
        a, b = radius * np.cos(angle), radius * np.sin(angle)
        return _stroke(u, {"front": (a, b, 0), "flat": (a, 0, b), "side": (0, a, b)}[plane])

    return move


def _rock(
    twist: float = 0, nod: float = 0, wag: float = 0, times: float = 2, sway: float = 0
) -> Callable[[Floats], Stroke]:
    def move(u: Floats) -> Stroke:
        wave = np.sin(2 * np.pi * times * u)
        return _stroke(u, (sway * wave, 0, 0), (twist * wave, nod * wave, wag * wave))

    return move


def _arc(u: Floats) -> Stroke:
    s = np.pi * _smooth(u)
    return _stroke(u, (-0.11 * np.cos(s), 0.07 * np.sin(s), 0))


def _zigzag(u: Floats) -> Stroke:
    return _stroke(u, (0.05 * np.sin(6 * np.pi * u), 0.20 * (0.5 - _smooth(u)), 0))


def _turn_over(u: Floats) -> Stroke:
    return _stroke(u, (0.03 * (_smooth(u) - 0.5), 0, 0), (150 * _smooth((u - 0.2) / 0.6), 0, 0))


MOVES: Final[dict[str, Callable[[Floats], Stroke]]] = {
    "hold": lambda u: _stroke(u, (0, 0.006 * np.sin(2 * np.pi * u), 0)),
    "tap": _taps(0.02, 0.01, 0.055),
    "tap once": _taps(0.02, 0.015, 0.07, times=1),
    "pat": _taps(0.0, 0.05, 0.0),
    "leave": _away(0.02, -0.03, 0.15),
    "leave down": _away(0.02, -0.16, 0.06),
    "leave out": _away(0.14, 0.02, 0.06),
    "leave up": _away(0.04, 0.13, 0.06),
    "forward": _line(0, 0.02, 0.15),
    "back": _line(0, 0.0, -0.13),
    "up": _line(0, 0.17, 0),
    "down": _line(0, -0.17, 0),
    "out": _line(0.18, 0, 0),
    "in": _line(-0.16, 0, 0),
    "push": _taps(0.0, 0.0, -0.07),
    "arc": _arc,
    "zigzag": _zigzag,
    "circle": _circle(0.055, "front"),
    "stir": _circle(0.055, "flat", times=2),
    "roll": _circle(0.055, "side", times=2),
    "rub": _circle(0.035, "front", times=2),
    "wave": _rock(wag=24, times=2, sway=0.03),
    "nod": _rock(nod=28, times=2),
    "shake": _rock(twist=38, times=2.5),
    "slide": _rock(sway=0.055, times=2),
    "turn": _turn_over,
    "open": lambda u: _stroke(u, (0, 0.02 * _smooth(u), 0.04 * _smooth(u)), mix=_smooth((u - 0.25) / 0.5)),
    "flick": lambda u: _stroke(u, mix=0.5 - 0.5 * np.cos(4 * np.pi * u)),
}  # fmt: skip


# ---------------------------------------------------------------- the inventory
@dataclass(frozen=True)
class Sign:
    """A gloss's form.

    `hands`: one; both (mirrored); alternate (mirrored, half a cycle apart); base (the other hand holds still below,
    as `base` = shape, fingers, palm).
    """

    gloss: str
    word: str  # English, for the sentences' text
    kind: str  # its role in the grammar
    shape: str
    place: str
    fingers: str  # direction of the straight fingers
    palm: str  # direction that the palm faces
    move: str
    part: str = "palm"  # the part of the hand that goes to the place
    hands: str = "one"
    end_shape: str = ""
    base: tuple[str, str, str] = ("flat", "in+forward", "up+0.3back")


def _signs() -> tuple[Sign, ...]:
    S = Sign
    return (
        # pronouns and greetings
        S("I", "I", "pronoun", "point", "chest", "back+0.6in", "in+0.3down", "tap once", "index"),
        S("YOU", "you", "pronoun", "point", "neutral", "forward+0.5up", "down+0.5in", "forward"),
        S("WE", "we", "pronoun", "point", "chest", "back+0.8in", "down+in", "arc", "index"),
        S("HELLO", "hello", "greeting", "flat", "temple", "up+0.3in", "forward+0.3in", "leave out", "index"),
        S("THANKS", "thank you", "greeting", "flat", "chin", "up+0.4in", "back", "leave", "tips"),
        S("PLEASE", "please", "greeting", "flat", "heart", "in+0.3up", "back", "rub"),
        S("YES", "yes", "answer", "fist", "neutral", "up+0.3forward", "forward", "nod"),
        S("NO", "no", "answer", "point", "neutral", "up", "forward", "wave"),
        # people
        S("MOTHER", "mother", "person", "five", "chin", "up+0.4in", "in+0.8forward", "tap", "thumb"),
        S("FATHER", "father", "person", "five", "forehead", "up+0.4in", "in+0.8forward", "tap", "thumb"),
        S("CHILD", "child", "person", "flat", "low", "out+0.8forward+0.3up", "down+0.6forward", "pat"),
        S("FRIEND", "friend", "person", "hook", "meet", "in+0.5up", "down+0.5in", "tap", "palm", "both"),
        S("DOCTOR", "doctor", "person", "bent", "wrist", "down+0.5in", "down+0.6back", "pat", "tips", "base"),
        S("TEACHER", "teacher", "person", "bunch", "temple", "up+in", "in+0.4forward", "leave", "index", "both"),
        S("WOMAN", "woman", "person", "thumb", "cheek", "up+0.8forward", "in", "leave down", "thumb"),
        S("DEAF", "deaf person", "person", "two", "ear", "up+0.5in", "in+0.5forward", "tap", "index"),
        # times
        S("NOW", "now", "time", "why", "low", "forward+0.4up", "up", "down", "palm", "both"),
        S("TODAY", "today", "time", "flat", "low", "forward+0.5in", "up", "pat", "palm", "both"),
        S("TOMORROW", "tomorrow", "time", "thumb", "cheek", "up+0.5in", "in", "leave", "thumb"),
        S("YESTERDAY", "yesterday", "time", "why", "cheek", "up+0.5in", "in+0.4forward", "tap", "thumb"),
        S("MORNING", "in the morning", "time", "flat", "low", "forward+0.4in", "up", "up"),
        S("NIGHT", "at night", "time", "bent", "wrist", "forward+0.4in", "down", "tap once", "palm", "base"),
        # verbs
        S("WANT", "want", "verb", "claw", "low", "up+0.9forward", "up+0.7back", "back", "palm", "both"),
        S("LIKE", "like", "verb", "middle", "heart", "in+0.4up", "back", "leave", "middle", end_shape="pick"),
        S("SEE", "see", "verb", "vee", "eyes", "up+0.3in", "back", "leave", "tips"),
        S("EAT", "eat", "verb", "bunch", "mouth", "back+up+0.5in", "back+0.5down", "tap", "index"),
        S("DRINK", "drink", "verb", "cup", "mouth", "up+0.8in+0.4forward", "in+back", "nod", "thumb"),
        S("GIVE", "give", "verb", "bunch", "low", "forward+0.5up", "up+0.4back", "forward", "palm", "both"),
        S("HELP", "help", "act", "thumb", "palm", "forward+0.4in", "in", "leave up", "pinky", "base"),
        S("LEARN", "learn", "act", "claw", "palm", "down+0.6in", "down+0.5back", "leave up", "tips", "base", "bunch"),
        S("READ", "read", "verb", "vee", "palm", "in+0.5down", "down+0.4back", "zigzag", "tips", "base",
          base=("flat", "up+0.4in", "back+0.5in")),
        S("MAKE", "make", "verb", "fist", "meet", "in+forward", "back+0.5in", "shake", "pinky", "base",
          base=("fist", "in+forward", "back+0.5up")),
        S("BUY", "buy", "verb", "bunch", "palm", "in+0.5forward", "up", "leave", "palm", "base"),
        S("FORGET", "forget", "act", "flat", "forehead", "in+0.3up", "back", "leave out", "tips", end_shape="fist"),
        S("KNOW", "know", "verb", "bent", "temple", "up+0.8in", "back+0.6down", "tap", "index"),
        S("WASH", "wash", "verb", "fist", "meet", "in+0.6forward", "back+0.4down", "rub", "palm", "alternate"),
        S("OPEN", "open", "verb", "flat", "meet", "up+0.3forward", "forward", "turn", "index", "both"),
        S("PLAY", "play", "verb", "why", "neutral", "up+0.3in", "back", "shake", "palm", "both"),
        S("GO", "go to", "verb", "point", "neutral", "up+0.6in", "in+0.4forward", "forward", "palm", "both"),
        S("STOP", "stop", "act", "flat", "palm", "forward+0.5up", "in", "pat", "pinky", "base"),
        S("WAIT", "wait for", "verb", "five", "far", "up+0.5out", "back+0.4up", "slide", "palm", "both"),
        S("SLEEP", "sleep", "act", "five", "face", "up+0.5in", "back", "leave down", "palm", end_shape="bunch"),
        # things and places
        S("HOUSE", "the house", "thing", "flat", "meet", "up+0.6in", "in+0.6down", "leave down", "tips", "both"),
        S("BOOK", "the book", "thing", "flat", "meet", "forward+0.4up", "in", "turn", "pinky", "both"),
        S("COFFEE", "coffee", "thing", "fist", "meet", "in+0.5forward", "back", "stir", "pinky", "base",
          base=("fist", "in+0.5forward", "back")),
        S("BREAD", "bread", "thing", "bent", "wrist", "down+0.5in", "back+0.3down", "slide", "tips", "base",
          base=("flat", "in", "back")),
        S("APPLE", "the apple", "thing", "hook", "cheek", "up+0.8in", "in+0.4forward", "shake", "index"),
        S("ONION", "the onion", "thing", "hook", "temple", "up+0.8in", "in+0.4forward", "shake", "index"),
        S("WATER", "water", "thing", "double", "chin", "up+0.3in", "in", "tap", "index"),
        S("CAR", "the car", "thing", "fist", "neutral", "forward+0.6in", "in+0.3back", "roll", "palm", "alternate"),
        S("TREE", "the tree", "thing", "five", "high", "up", "in", "shake"),
        S("BALL", "the ball", "thing", "claw", "centre", "up+0.6in+0.5forward", "in+0.3forward", "tap", "palm", "both"),
        S("PHONE", "the phone", "thing", "why", "ear", "up+0.8forward", "in+0.3back", "hold", "thumb"),
        S("FLOWER", "the flower", "thing", "bunch", "nose", "up+0.4in", "back", "slide", "tips"),
        S("PAPER", "the paper", "thing", "flat", "palm", "in+0.4forward", "down", "slide", "palm", "base"),
        S("DOOR", "the door", "thing", "four", "meet", "up+0.2in", "forward", "nod", "index", "both"),
        S("CAT", "the cat", "thing", "okay", "cheek", "up+0.4out", "in+0.5forward", "leave out", "index", "both"),
        S("SCHOOL", "school", "thing", "flat", "palm", "in+0.4forward", "down+0.4back", "pat", "palm", "base"),
        S("MONEY", "money", "thing", "bunch", "palm", "in+0.3forward", "up", "pat", "palm", "base"),
        # qualities
        S("GOOD", "good", "quality", "flat", "chin", "up+0.4in", "back", "leave down", "tips"),
        S("BAD", "bad", "quality", "flat", "chin", "up+0.4in", "back", "turn", "tips"),
        S("BIG", "big", "quality", "ell", "meet", "up+0.4forward", "in+0.3forward", "leave out", "index", "both"),
        S("SMALL", "small", "quality", "flat", "neutral", "forward+0.3up", "in", "in", "palm", "both"),
        S("HAPPY", "happy", "quality", "flat", "chest", "in", "back", "leave up", "palm", "both"),
        S("SAD", "sad", "quality", "five", "veil", "up", "back", "leave down", "palm", "both"),
        S("HOT", "hot", "quality", "claw", "mouth", "up+0.6in", "back", "leave out", "palm"),
        S("COLD", "cold", "quality", "fist", "neutral", "forward+0.5in+0.3up", "in", "slide", "palm", "both"),
        S("RED", "red", "quality", "point", "chin", "up+0.7back+0.3in", "back+0.7down", "leave down", "index"),
        S("SWEET", "sweet", "quality", "two", "chin", "up+0.7back+0.3in", "back+0.7down", "leave down", "index"),
        S("BLUE", "blue", "quality", "flat", "neutral", "up", "forward+0.4in", "shake"),
        S("GREEN", "green", "quality", "ell", "neutral", "up", "forward+0.4in", "shake"),
        S("YELLOW", "yellow", "quality", "why", "neutral", "up", "forward+0.4in", "shake"),
        S("LOVE", "loved", "quality", "love", "neutral", "up", "forward", "slide"),
    )  # fmt: skip


SIGNS: Final[tuple[Sign, ...]] = _signs()
BY_GLOSS: Final[dict[str, Sign]] = {sign.gloss: sign for sign in SIGNS}

# Pairs that differ in one respect only.
MINIMAL_PAIRS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "shape": (("RED", "SWEET"), ("BLUE", "GREEN"), ("GREEN", "YELLOW"), ("BLUE", "YELLOW")),
    "place": (("MOTHER", "FATHER"), ("APPLE", "ONION")),
    "move": (("GOOD", "THANKS"), ("GOOD", "BAD")),
}

# The first glosses of a small corpus: well apart, and in the order in which corpora of growing size take them.
FIRST: Final = ("HELLO", "HOUSE", "PLAY", "MOTHER", "NO", "WAIT", "TREE", "GOOD", "CAR", "HELP", "EAT", "BIG")
ORDER: Final[tuple[str, ...]] = FIRST + tuple(sign.gloss for sign in SIGNS if sign.gloss not in FIRST)


# ---------------------------------------------------------------- sentences
# Each pattern: the order of the signs (by kind), and the English with the same parts.
_PATTERNS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("time", "person", "thing", "verb"), "{time} the {person} {verb}s {thing}"),
    (("person", "thing", "verb"), "the {person} {verb}s {thing}"),
    (("pronoun", "thing", "verb"), "{pronoun} {verb} {thing}"),
    (("time", "pronoun", "thing", "verb"), "{time} {pronoun} {verb} {thing}"),
    (("answer", "pronoun", "thing", "verb"), "{answer} , {pronoun} {verb} {thing}"),
    (("time", "person", "act"), "{time} the {person} {act}s"),
    (("pronoun", "act"), "{pronoun} {act}"),
    (("thing", "quality"), "{thing} is {quality}"),
    (("person", "quality"), "the {person} is {quality}"),
    (("greeting", "person", "quality"), "{greeting} , the {person} is {quality}"),
)
# Objects that a verb can take; any object where it is not listed.
_OBJECTS: Final[dict[str, tuple[str, ...]]] = {
    "EAT": ("BREAD", "APPLE", "ONION"), "DRINK": ("COFFEE", "WATER"), "READ": ("BOOK", "PAPER"),
    "OPEN": ("DOOR", "BOOK", "HOUSE", "CAR"), "WASH": ("CAR", "APPLE", "DOOR", "CAT"), "PLAY": ("BALL", "CAT"),
    "GO": ("HOUSE", "SCHOOL", "TREE"), "MAKE": ("COFFEE", "BREAD", "MONEY", "PAPER"),
    "WAIT": ("CAR", "BREAD", "MONEY", "COFFEE", "CAT"),
}  # fmt: skip
_THIRD: Final = {"go to": "goes to", "wait for": "waits for", "wash": "washes", "play": "plays with"}
_PLAIN: Final = {"play": "play with"}


def make_sentence(rng: np.random.Generator, allowed: frozenset[str]) -> tuple[tuple[str, ...], str]:
    """A random sentence of the grammar: its glosses in signing order and its English text.

    Raises:
        ConfigError: no pattern can be filled with the allowed glosses.
    """
    by_kind: dict[str, list[Sign]] = {}
    for sign in SIGNS:
        if sign.gloss in allowed:
            by_kind.setdefault(sign.kind, []).append(sign)
    things = {sign.gloss for sign in by_kind.get("thing", [])}
    by_kind["verb"] = [sign for sign in by_kind.get("verb", []) if things & set(_OBJECTS.get(sign.gloss, things))]
    patterns = [pattern for pattern in _PATTERNS if all(by_kind.get(kind) for kind in pattern[0])]
    if not patterns:
        raise ConfigError(f"no sentence pattern can be filled with {len(allowed)} glosses; allow more of them")
    kinds, text = patterns[int(rng.integers(len(patterns)))]
    chosen = {kind: by_kind[kind][int(rng.integers(len(by_kind[kind])))] for kind in kinds}
    if "verb" in chosen:
        fitting = sorted(things & set(_OBJECTS.get(chosen["verb"].gloss, things)))
        chosen["thing"] = BY_GLOSS[fitting[int(rng.integers(len(fitting)))]]
    words = {kind: sign.word for kind, sign in chosen.items()}
    for kind in {"verb", "act"} & set(kinds):
        third = f"{{{kind}}}s" in text
        text = text.replace(f"{{{kind}}}s", f"{{{kind}}}")
        words[kind] = _THIRD.get(words[kind], f"{words[kind]}s") if third else _PLAIN.get(words[kind], words[kind])
    return tuple(chosen[kind].gloss for kind in kinds), text.format(**words)
