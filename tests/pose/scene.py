"""A drawn signer whose hands are coloured patches, and a network that sees such patches."""

from dataclasses import dataclass, field

import numpy as np

from signrep_core.pose.networks import HAND_SIDE, HandOutput

WIDTH = 100.0  # of the shoulders, pixels
SIZE = (480, 480)
COLOURS = {0: (200, 0, 0), 1: (0, 0, 200)}  # right, left
PATCH = 40  # side of a hand in the picture, pixels
# A hand that fills its box, fingers up: x, y of the 21 joints in 0..1.
TEMPLATE = np.array(
    [(0.5, 1), (0.2, 0.9), (0.1, 0.75), (0.05, 0.6), (0, 0.5)]
    + [(x, y) for x, top in ((0.3, 0.05), (0.5, 0), (0.7, 0.05), (0.9, 0.2)) for y in np.linspace(0.5, top, 4)]
)


def body(right: tuple[float, float], left: tuple[float, float]) -> np.ndarray:
    """(33, 2) pose with wrists at the lower middles of hands centred at two places, forearms upright."""
    pose = np.zeros((33, 2))
    pose[[12, 11, 24, 23]] = (190, 200), (290, 200), (200, 330), (280, 330)
    for hand, (elbow, wrist, pinky, index) in zip((right, left), ((14, 16, 18, 20), (13, 15, 17, 19)), strict=True):
        at = np.add(hand, (0, PATCH / 2))
        pose[wrist], pose[elbow] = at, np.add(at, (0, 90))
        pose[[pinky, index]] = np.add(at, (8, -30)), np.add(at, (-4, -30))
    return pose


def picture(right: tuple[float, float] | None, left: tuple[float, float] | None, faint: int = 0) -> np.ndarray:
    """A picture with patches centred at two places, the later one in front; a `faint` hand is hard to see."""
    rgb = np.full((*SIZE, 3), 90, np.uint8)
    for hand, place in enumerate((right, left)):
        if place is not None:
            x, y = (round(v) for v in place)
            colour = np.array(COLOURS[hand]) // (2 if hand in FAINT.get(faint, ()) else 1)
            rgb[max(y - PATCH // 2, 0) : y + PATCH // 2, max(x - PATCH // 2, 0) : x + PATCH // 2] = colour
    return rgb


FAINT = {1: (0,), 2: (0, 1)}  # values of `faint`: right, both


@dataclass
class PatchNetwork:
    """Sees the larger patch of a crop: surely if it is bright, else only where it fills much of a well-placed crop."""

    most: float = 1.0  # presence
    crops: int = 0
    batches: list[int] = field(default_factory=list)

    def __call__(self, crops: np.ndarray) -> HandOutput:
        self.crops += len(crops)
        self.batches.append(len(crops))
        found = [_see(crop.astype(int)) for crop in crops]
        points, presence, right = (np.array([f[k] for f in found], np.float32) for k in range(3))
        presence = np.minimum(presence, np.float32(self.most))
        return HandOutput(points.reshape(-1, 21, 3), presence, right, np.zeros((len(crops), 21, 3), np.float32))


def _see(crop: np.ndarray) -> tuple[np.ndarray, float, float]:
    masks = [crop[..., channel] - crop[..., 1] > 60 for channel in (0, 2)]
    hand = int(masks[1].sum() > masks[0].sum())
    y, x = np.nonzero(masks[hand])
    if len(x) < 50:
        return np.zeros((21, 3)), 0.01, 0.5
    low, high = np.array([x.min(), y.min()]), np.array([x.max(), y.max()])
    size = (high - low).max()
    bright = crop[..., (0, 2)[hand]].max() > 150
    cut = (low <= 1).any() or (high >= HAND_SIDE - 2).any()
    centred = np.abs((low + high) / 2 - HAND_SIDE / 2).max() < 0.12 * HAND_SIDE
    sure = (bright and size > 0.2 * HAND_SIDE) or (size > 0.45 * HAND_SIDE and centred)
    presence = 0.05 if cut else 0.95 if sure else 0.3
    points = np.concatenate([low + TEMPLATE * (high - low), np.zeros((21, 1))], 1)
    return points, presence, (0.95, 0.05)[hand]
