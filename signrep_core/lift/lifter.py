"""The sign pose lifter: from a signer's 2-D joints to angles, bones, camera and confidence of each joint (A1, A8).

An open counterpart of the estimator that the paper takes its angles from (Ivashechkin et al. 2023): a small temporal
network reads the 2-D joints of a window of frames and predicts joint rotations and bone lengths, which forward
kinematics with joint limits turns into 3-D joints.

One network serves both sides: it reads each frame twice, as it is and mirrored, with the side to predict always in the
place of the right one. The lifter is therefore exactly symmetric. Outputs without a side (head, spine, camera, bones)
are the mean of both views.

Every angle is within its limits by construction, as a bounded function of the network's output. A palm's orientation is
predicted as seen by the camera (the first two columns of its frame, made orthonormal), and the wrist's angles follow
from it in closed form, with x and z free and y within ±90°.

Legend: B windows (or 1 video), T frames, J = 61 joints, S = 2 sides, W width of the network; angles in radians.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from signrep_core.body.fit_body import BODY_REST
from signrep_core.body.fit_hand import HAND_REST
from signrep_core.body.forward import forward_kinematics, wrist_angles
from signrep_core.errors import CheckpointError
from signrep_core.lift import LIFTER_WEIGHTS
from signrep_core.model.weights import read_weights, write_weights
from signrep_core.skeleton import (
    BODY_ANGLES,
    BODY_LIMITS,
    BODY_OFFSETS,
    DEFAULT_BODY_OFFSETS,
    DEFAULT_HAND_OFFSETS,
    HAND_LIMITS,
    HANDS,
    JOINTS,
    N_BODY_ANGLES,
    N_BODY_OFFSETS,
    N_HAND_ANGLES,
    N_HAND_JOINTS,
    N_HAND_OFFSETS,
    N_JOINTS,
    N_WRIST_ANGLES,
    SKELETON_VERSION,
)

FORMAT: Final = "signrep-lifter-1"
ADVICE: Final = "train it again: signrep train lifter"
N_FINGERS: Final = N_HAND_ANGLES - N_WRIST_ANGLES
BONE_RANGE: Final = 0.35  # relative deviation of a bone from its default
FACE_RANGE: Final = 0.2  # deviation of a face point from its default, in upper arms
MIN_DEPTH: Final = 0.2  # least depth of a joint, relative to the neck's
MAX_NEARNESS: Final = 1.5  # 1 / m: no camera is nearer than 0.67 m


def _opposite(joint: str) -> str:
    swap = {"right": "left", "left": "right"}
    return "_".join(swap.get(part, part) for part in joint.split("_"))


MIRROR_JOINTS: Final = [JOINTS.index(_opposite(joint)) for joint in JOINTS]
_MIRROR_BODY = [BODY_ANGLES.index(_opposite(angle)) for angle in BODY_ANGLES]
_MIRROR_BODY_SIGNS = [-1.0 if angle.endswith(("_z", "_y")) else 1.0 for angle in BODY_ANGLES]
_ARM = [k for k, angle in enumerate(BODY_ANGLES) if angle.startswith("right")]
_CENTRE = [k for k, angle in enumerate(BODY_ANGLES) if angle.startswith(("head", "spine", "lower"))]
_CENTRE_SIGNS = [_MIRROR_BODY_SIGNS[k] for k in _CENTRE]


@dataclass(frozen=True)
class LifterConfig:
    """Sizes of the network."""

    width: int = 160
    stem: int = 288
    dilations: tuple[int, ...] = (1, 2, 3, 4)
    causal: bool = False  # no frame depends on later ones

    @property
    def reach(self) -> int:
        """Number of frames before (and after, unless causal) that influence a frame."""
        return sum(self.dilations) * (2 if self.causal else 1)


_CAMERA_SIGNS: Final = [1.0, 1, -1, 1, -1, 1]

# Outputs of the network for one view, in order: name -> number of values.
_OUTPUTS: Final = {
    "arm": len(_ARM), "palm": 6, "fingers": N_FINGERS, "hand_bones": N_HAND_OFFSETS, "centre": len(_CENTRE),
    "body_bones": N_BODY_OFFSETS, "camera": 6, "log_scale": N_JOINTS,
}  # fmt: skip


@dataclass(frozen=True)
class Lifted:
    """Predicted poses of windows or of a video, each with leading dimensions (B, T)."""

    body_angles: Tensor  # (B, T, 22)
    palms: Tensor  # (B, T, S, 3, 3) columns in the last axis; the left hand's mirrored, as a right one
    fingers: Tensor  # (B, T, S, 38)
    body_offsets: Tensor  # (B, T, 16)
    hand_offsets: Tensor  # (B, T, 20)
    camera: Tensor  # (B, T, 6) see `project`
    log_scale: Tensor  # (B, T, 61) log of the expected error in metres, from the neck or a hand's wrist

    def every(self, step: int) -> "Lifted":
        """Every `step`-th frame."""
        return Lifted(*(values[:, ::step] for values in vars(self).values()))

    def hand_angles(self) -> tuple[Tensor, Tensor]:
        """Right and left hand, (B, T, 41) each: wrist angles from the palms, then the fingers."""
        hands = torch.cat((wrist_angles("right", self.palms), self.fingers), -1)
        return hands[..., 0, :], hands[..., 1, :]

    def joints(self) -> Tensor:
        """(B, T, 61, 3) metres, by forward kinematics."""
        return forward_kinematics(self.body_angles, *self.hand_angles(), self.body_offsets, self.hand_offsets)


class Block(nn.Module):
    """A residual block: two layers over three frames that are `dilation` apart."""

    def __init__(self, width: int, dilation: int, causal: bool) -> None:
        super().__init__()
        self.dilation, self.causal = dilation, causal
        self.norm = nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(3 * width, width), nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) to the same."""
        frames, step = x.shape[1], self.dilation
        before, after = (2 * step, 0) if self.causal else (step, step)
        padded = nn.functional.pad(self.norm(x), (0, 0, before, after))
        taps = torch.cat([padded[:, k * step : k * step + frames] for k in range(3)], -1)
        return x + self.out(nn.functional.gelu(self.mix(taps)))


class Lifter(nn.Module):
    """2-D joints of successive frames to `Lifted` poses."""

    arm_limits: Tensor
    centre_limits: Tensor
    fingers_limits: Tensor
    bone_limits: Tensor
    calibration: Tensor

    def __init__(self, config: LifterConfig | None = None) -> None:
        super().__init__()
        self.config = config or LifterConfig()
        width = self.config.width
        self.stem = nn.Sequential(
            nn.Linear(N_FEATURES, self.config.stem), nn.GELU(), nn.Linear(self.config.stem, width)
        )
        self.blocks = nn.Sequential(*(Block(width, step, self.config.causal) for step in self.config.dilations))
        out = nn.Linear(width, sum(_OUTPUTS.values()))
        with torch.no_grad():
            out.weight.mul_(0.3)
            out.bias.copy_(_rest())
        self.head = nn.Sequential(nn.LayerNorm(width), out)
        self.shape = nn.Parameter(torch.zeros(N_JOINTS))  # log of the Weibull shape of each joint's errors
        self.register_buffer("calibration", torch.zeros(N_JOINTS))  # measured correction of the log scale
        for name, limits in (
            ("arm", BODY_LIMITS[_ARM]),
            ("centre", BODY_LIMITS[_CENTRE]),
            ("fingers", HAND_LIMITS[N_WRIST_ANGLES:]),
            ("bone", bone_limits()),
        ):
            self.register_buffer(f"{name}_limits", torch.tensor(limits, dtype=torch.float32), persistent=False)

    def forward(self, xy: Tensor, confidence: Tensor) -> Lifted:
        """Lift windows.

        Args:
            xy: (B, T, 61, 2) shoulder widths from the neck, 0 where missing.
            confidence: (B, T, 61), 0 where missing.
        """
        views = torch.cat([features(xy, confidence), features(*mirrored(xy, confidence))])
        raw = self.head(self.blocks(self.stem(views)))
        own, other = (
            dict(zip(_OUTPUTS, part.split(list(_OUTPUTS.values()), -1), strict=True)) for part in raw.chunk(2)
        )
        sides = {name: torch.stack((own[name], other[name]), -2) for name in _OUTPUTS}
        centre = self._mean(sides["centre"], _CENTRE_SIGNS)
        bones = bounded(torch.cat((sides["body_bones"], sides["hand_bones"]), -1).mean(-2) / 10, self.bone_limits)
        camera = self._mean(sides["camera"], _CAMERA_SIGNS)
        log_scale = (own["log_scale"] + other["log_scale"][..., MIRROR_JOINTS]) / 2
        return Lifted(
            body_angles=self._body(bounded(sides["arm"], self.arm_limits), bounded(centre, self.centre_limits)),
            palms=orthonormal(sides["palm"]),
            fingers=bounded(sides["fingers"], self.fingers_limits),
            body_offsets=bones[..., :N_BODY_OFFSETS],
            hand_offsets=bones[..., N_BODY_OFFSETS:],
            camera=torch.cat(
                (3 * camera[..., :1].exp(), MAX_NEARNESS * torch.sigmoid(camera[..., 1:2]), camera[..., 2:] / 10), -1
            ),
            log_scale=log_scale.clamp(-8, 2) + self.calibration,
        )

    def save(self, path: Path, notes: Mapping[str, Any]) -> None:
        """Write the weights; called by the training loop."""
        save_lifter(path, self, notes)

    def confidence(self, log_scale: Tensor, within: Tensor) -> Tensor:
        """(..., 61) probability that a joint's error is below `within` (61,) metres."""
        return 1 - torch.exp(-(within.log() - log_scale).mul(self.shape.exp()).exp())

    @staticmethod
    def _mean(both: Tensor, signs: list[float]) -> Tensor:
        """Mean of both views (B, T, S, n) of values without a side; `signs` are -1 where mirroring negates."""
        return (both[..., 0, :] + both[..., 1, :] * both.new_tensor(signs)) / 2

    @staticmethod
    def _body(arms: Tensor, centre: Tensor) -> Tensor:
        """(B, T, 22) body angles from arms (B, T, S, 6), the left one mirrored, and the centre's angles."""
        angles = arms.new_zeros(*arms.shape[:-2], N_BODY_ANGLES)
        right = torch.zeros_like(angles)
        right[..., _ARM] = arms[..., 0, :]
        left = torch.zeros_like(angles)
        left[..., _ARM] = arms[..., 1, :]
        angles[..., _CENTRE] = centre
        return angles + right + mirror_body(left)


def bone_limits() -> NDArray[np.float64]:
    """(36, 2) limits of the offsets of body and hands."""
    defaults = np.concatenate([DEFAULT_BODY_OFFSETS, DEFAULT_HAND_OFFSETS])
    face = np.arange(len(defaults)) - BODY_OFFSETS.index("ear_x")
    span = np.where(
        (face >= 0) & (face < N_BODY_OFFSETS - BODY_OFFSETS.index("ear_x")), FACE_RANGE, BONE_RANGE * defaults
    )
    return np.stack((defaults - span, defaults + span), -1)


def project(joints: Tensor, camera: Tensor) -> Tensor:
    """Project joints (..., 61, 3) into the image (..., 61, 2), in shoulder widths: s (x - a z) / (1 + k z) + t.

    camera (..., 6): s shoulder widths per metre at the neck; k the inverse of the neck's distance (1/m); t (2) the
    neck's place; a (2) the neck's offset from the optical axis, as a tangent.
    """
    scale, nearness, place, off = camera[..., None, :].split((1, 1, 2, 2), -1)
    z = joints[..., 2:]
    return scale * (joints[..., :2] - off * z) / (1 + nearness * z).clamp_min(MIN_DEPTH) + place


def mirror_body(angles: Tensor) -> Tensor:
    """Body angles (..., 22) of the mirrored signer."""
    return angles[..., _MIRROR_BODY] * angles.new_tensor(_MIRROR_BODY_SIGNS)


def mirrored(xy: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror a signer: negate x and exchange right and left joints."""
    return xy[..., MIRROR_JOINTS, :] * xy.new_tensor([-1, 1]), confidence[..., MIRROR_JOINTS]


def features(xy: Tensor, confidence: Tensor) -> Tensor:
    """(B, T, F) inputs of the network for one view: all joints, and the right hand relative to its wrist, enlarged."""
    hand = HANDS["right"]
    own = xy[..., hand, :] - xy[..., hand.start : hand.start + 1, :]
    return torch.cat((xy.flatten(-2), 4 * own.flatten(-2), confidence), -1)


N_FEATURES: Final = N_JOINTS * 2 + N_HAND_JOINTS * 2 + N_JOINTS


def bounded(raw: Tensor, limits: Tensor) -> Tensor:
    """Map any numbers (..., n) smoothly into limits (n, 2)."""
    middle, half = limits.mean(-1), (limits[:, 1] - limits[:, 0]) / 2
    return middle + half * torch.tanh(raw / half)


def orthonormal(raw: Tensor) -> Tensor:
    """(..., 3, 3) rotation matrices by Gram-Schmidt from their first two columns, raw (..., 6)."""
    first, second = raw[..., :3], raw[..., 3:]
    x = nn.functional.normalize(first, dim=-1, eps=1e-6)
    y = nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1, eps=1e-6)
    return torch.stack((x, y, torch.linalg.cross(x, y, dim=-1)), -1)


def _rest() -> Tensor:
    """Outputs of a resting signer, the initial bias of the last layer."""

    def raw(rest: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.float64]:
        half = (limits[:, 1] - limits[:, 0]) / 2
        return half * np.arctanh(np.clip((rest - limits.mean(1)) / half, -0.95, 0.95))

    values = {
        "arm": raw(BODY_REST[_ARM], BODY_LIMITS[_ARM]),
        "palm": np.array([0.0, 0, 1, 1, 0, 0]),
        "fingers": raw(HAND_REST[N_WRIST_ANGLES:], HAND_LIMITS[N_WRIST_ANGLES:]),
        "centre": raw(BODY_REST[_CENTRE], BODY_LIMITS[_CENTRE]),
        "log_scale": np.full(N_JOINTS, np.log(0.03)),
    }
    return torch.tensor(np.concatenate([values.get(name, np.zeros(n)) for name, n in _OUTPUTS.items()]))


# ---------------------------------------------------------------- weights on the disk
def save_lifter(path: str | Path, lifter: Lifter, notes: Mapping[str, Any] | None = None) -> None:
    """Write the weights with the configuration, the skeleton's version and notes on the training."""
    about = {"format": FORMAT, "skeleton": str(SKELETON_VERSION), "config": asdict(lifter.config)}
    write_weights(path, lifter.state_dict(), {**about, "training": dict(notes or {})})


def load_lifter(path: str | Path | None = None) -> Lifter:
    """The lifter of a file of weights; by default the one that ships with the package.

    Raises:
        CheckpointError: not a lifter's weights, broken, or for another skeleton.
    """
    path = LIFTER_WEIGHTS if path is None else path
    weights, about = read_weights(path, ADVICE)
    found = about.get("format"), about.get("skeleton")
    if found != (FORMAT, str(SKELETON_VERSION)):
        raise CheckpointError(
            f"{path}: expected a lifter of format {FORMAT!r} and skeleton {SKELETON_VERSION}, found format "
            f"{found[0]!r} and skeleton {found[1]}; {ADVICE}"
        )
    config = about["config"]
    lifter = Lifter(LifterConfig(**{**config, "dilations": tuple(config["dilations"])}))
    try:
        lifter.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit their configuration ({error}); {ADVICE}") from error
    return lifter.eval()
