"""Training of the sign pose lifter on sampled poses with simulated cameras and detections; nothing is rendered.

The batch of a step is a pure function of the seed and the step's number, so a run on a CPU with one thread is
reproducible, and a killed run resumes where it stopped.

Legend: B windows, T frames, J = 61 joints, S = 2 sides (the left one mirrored, as a right hand); metres, radians.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import Dataset

from signrep_core.body.forward import palm_frame, pose_body, pose_hand
from signrep_core.config import ClipBy, digest
from signrep_core.data.stream import read_ahead
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.lift.detector_errors import ErrorModel, load_errors
from signrep_core.lift.lifter import Lifted, Lifter, LifterConfig, load_lifter, project
from signrep_core.lift.normalise import window_frame
from signrep_core.lift.real_motion import (
    DEVELOPMENT,
    REAL_MOTION,
    add_real_motion,
    load_real_motion,
    training_people,
)
from signrep_core.lift.simulated_detections import draw_views, simulate_detections
from signrep_core.lift.training_poses import Bank, Variety, draw_poses
from signrep_core.skeleton import (
    ARMS,
    BODY,
    BODY_ANGLES,
    HAND_ANGLES,
    HANDS,
    INTERACTION_DESTINATIONS,
    INTERACTION_SOURCES,
    MIN_CONFIDENCE,
    N_JOINTS,
    N_WRIST_ANGLES,
    SIDES,
    WRISTS,
)
from signrep_core.train.launch import Devices, count_processes, launch
from signrep_core.train.loop import Run, RunSetup, Score, StepTerms, TrainResult, train, update
from signrep_core.train.optimiser import learning_rate_at, make_adamw, set_learning_rate

log = logging.getLogger(__name__)

LEAST_ERROR: Final = 5e-4  # metres; smaller errors count as this one
VALIDATION_BATCHES: Final = 4
_TRAINING, _VALIDATION = 51, 52  # streams of randomness
FIGURES: Final = ("elbow_degrees", "flexion_degrees", "arms_mm")  # medians over detected joints
_ELBOWS: Final = [BODY_ANGLES.index(f"{side}_elbow_x") for side in SIDES]
_FLEXION: Final = [
    k for k, name in enumerate(HAND_ANGLES[N_WRIST_ANGLES:]) if name.endswith(("_mcp_x", "pip_x", "dip_x"))
]
_ARM_JOINTS: Final = [joint for side in SIDES for joint in ARMS[side]]
_WRISTS: Final = list(WRISTS)
# Weights of the fingers' angles: the thumb is the hardest to see, and metacarpals hardly move.
_FINGER_WEIGHTS: Final = [
    2.0 if name.startswith("thumb") and not name.endswith("z") else 0.5 if "metacarpal" in name else 1.0
    for name in HAND_ANGLES[N_WRIST_ANGLES:]
]
_TOUCH_M: Final = 0.06  # distance at which a contact counts 1 / e
_SOURCES: Final = list(INTERACTION_SOURCES)
_DESTINATIONS: Final = list(INTERACTION_DESTINATIONS)
_SAME_PART: Final = [  # (12, 22) whether both joints are of the same hand or arm
    [
        any(
            a in joints and b in joints
            for joints in ([*range(*HANDS[side].indices(N_JOINTS)), *ARMS[side]] for side in SIDES)
        )
        for b in _DESTINATIONS
    ]
    for a in _SOURCES
]
_MIRRORS: Final = [[[1.0, 1, 1]], [[-1.0, 1, 1]]]  # (S, 1, 3): the left hand is mirrored


@dataclass(frozen=True)
class Weights:
    """Weights of the losses; each term is a mean, in the unit named."""

    body: float = 30.0  # metres from the neck
    hands: float = 60.0  # metres from the wrist
    body_angles: float = 2.0  # sine and cosine
    palms: float = 2.5  # columns of the palm's frame
    fingers: float = 4.0  # sine and cosine
    reprojection: float = 10.0  # shoulder widths
    bones: float = 5.0  # shares of their range
    consistency: float = 3.0  # shares of their range: deviation of a bone from its mean over the window
    smoothness: float = 20.0  # metres: error of the acceleration
    contact: float = 4.0  # metres: differences of joints that nearly touch, see `_contact_loss`
    log_scale: float = 0.05  # negative log likelihood
    unseen: float = 0.2  # weight of a missing joint, relative to a detected one


@dataclass(frozen=True)
class LifterSettings:
    """Everything that determines the trained weights."""

    config: LifterConfig = field(default_factory=LifterConfig)
    weights: Weights = field(default_factory=Weights)
    variety: Variety = field(default_factory=Variety)
    steps: int = 12000
    windows: int = 24  # in a batch
    frames: int = 28  # of a window: more than influence a frame's pose
    learning_rate: float = 2e-3  # at its peak, then a cosine to 0
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0  # largest norm of the gradient
    clip_by: ClassVar[ClipBy] = "norm"
    clips: int = 120  # performances in the bank
    loss_step: int = 2  # the losses use every second frame: half the kinematics for nearly the same result
    validate_every: int = 500
    save_every: int = 100
    save_minutes: ClassVar[float] = 10.0
    log_every: int = 50
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Inputs of the lifter and their targets."""

    xy: Tensor  # (B, T, 61, 2) shoulder widths from the neck, with the detector's errors
    confidence: Tensor  # (B, T, 61)
    true_xy: Tensor  # (B, T, 61, 2) the same without
    joints: Tensor  # (B, T, 61, 3)
    body_angles: Tensor  # (B, T, 22)
    palms: Tensor  # (B, T, S, 3, 3)
    fingers: Tensor  # (B, T, S, 38)
    bones: Tensor  # (B, 1, 36)

    @property
    def broken(self) -> list[str]:
        """Always empty: simulated windows cannot be unreadable."""
        return []

    def __len__(self) -> int:
        return len(self.xy)

    def every(self, step: int) -> "Batch":
        """Every `step`-th frame."""
        return Batch(*(values[:, ::step] for values in vars(self).values()))

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device."""
        return Batch(*(values.to(device, non_blocking=True) for values in vars(self).values()))


@dataclass(frozen=True)
class Source:
    """Sources of a training's motion and first weights."""

    make_bank: Callable[[int, int], Bank]
    initial: Path | None
    motion: Path


@dataclass(kw_only=True)
class LifterRun(Run):
    """A training of the lifter."""

    validation: list[Batch]


def train_lifter(
    out: Path,
    settings: LifterSettings,
    make_bank: Callable[[int, int], Bank],
    *,
    initial: Path | None = None,
    motion: Path | None = None,
    workers: int = 1,
    accelerator: str = "auto",
) -> TrainResult:
    """Train the lifter in folder `out`, or resume its training.

    Writes `out/last/` while it runs, and `out/best.safetensors` and `out/metrics.csv` at the end; a stopped run
    resumes when it is called again with the same settings.

    Args:
        make_bank: makes the bank of synthetic motion to train on, from a number of clips and a seed.
        initial: weights to start from.
        motion: real motion that joins it, as `lift bank` writes it; None: the shipped file.
        workers: processes that simulate batches.
        accelerator: of Lightning Fabric.

    Raises:
        TrainingError: a loss is not finite, `out` holds a run with other settings, or several processes were started.
        CheckpointError: `initial` is not a lifter's weights, or of another configuration.
    """
    if count_processes(Devices(accelerator)) > 1:
        raise TrainingError("the lifter trains in one process: start it without torchrun or srun")
    source = Source(make_bank, initial, motion or REAL_MOTION)
    job = partial(_train, out=Path(out), settings=settings, source=source, workers=workers)
    return launch(job, Devices(accelerator, precision="32-true"))


def _train(fabric: Fabric, out: Path, settings: LifterSettings, source: Source, workers: int) -> TrainResult:
    if fabric.device.type == "cpu":
        torch.set_num_threads(1)  # small matrices are no faster on more threads, and the order of sums is fixed
    log.info("performing %d clips", settings.clips)
    motion, errors = load_real_motion(source.motion), load_errors()
    synthetic = source.make_bank(settings.clips, settings.seed)
    bank = add_real_motion(synthetic, motion, training_people(motion))
    synthetic = source.make_bank(max(settings.clips // 10, 1), settings.seed + 1)
    others = add_real_motion(synthetic, motion, {part: {person} for part, person in DEVELOPMENT.items()})
    network = _make_network(settings, source.initial)
    run = LifterRun(
        kind="train_lifter",
        fabric=fabric,
        setup=RunSetup(out, settings.seed),
        settings=settings,
        values=asdict(settings),
        data={"initial": _digest(source.initial), "motion": _digest(source.motion), "errors": digest(errors.to_dict())},
        iterations=settings.steps,
        columns=["step", "learning_rate", "loss", *(term.name for term in fields(Weights) if term.name != "unseen"),
                 "grad_norm", *FIGURES, "selection", "clips_per_s", "data_wait", "broken"],
        selection="negative loss on performances of other people",
        network=network,
        validation=[draw_batch(others, errors, settings, step, _VALIDATION) for step in range(VALIDATION_BATCHES)],
    )  # fmt: skip
    optimiser = make_adamw(network.parameters(), settings.betas, settings.weight_decay)
    run.model, run.optimiser = fabric.setup(network, optimiser)
    load = partial(_load, bank, errors, settings, workers)
    return train(run, load, train_step, lambda run: {}, _validate)


def _make_network(settings: LifterSettings, initial: Path | None) -> Lifter:
    torch.manual_seed(settings.seed)
    if initial is None:
        return Lifter(settings.config)
    network = load_lifter(initial).train()
    if network.config != settings.config:
        raise CheckpointError(
            f"{initial}: expected a lifter of {settings.config}, found {network.config}; "
            "give weights of the same sizes, or start without"
        )
    return network


def _digest(path: Path | None) -> str:
    return "" if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


@dataclass(frozen=True)
class _Steps(Dataset[Batch]):
    """The batches of a range of steps."""

    bank: Bank
    errors: ErrorModel
    settings: LifterSettings
    steps: range

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, k: int) -> Batch:
        return draw_batch(self.bank, self.errors, self.settings, self.steps[k])


def _load(bank: Bank, errors: ErrorModel, settings: LifterSettings, workers: int, steps: range) -> Iterable[Batch]:
    return read_ahead(_Steps(bank, errors, settings, steps), workers, batch_size=None)


def train_step(run: LifterRun, batch: Batch) -> StepTerms:
    """Start forward, backward and update with one batch; return all terms, perhaps not yet computed."""
    settings = run.settings
    lr = learning_rate_at(run.step, settings.learning_rate, settings.warmup, settings.steps)
    set_learning_rate(run.optimiser, lr)
    batch = batch.to(run.fabric.device)
    # The module itself: Fabric's wrapper takes no frozen dataclass, and does nothing for one device in full precision.
    terms = compute_losses(run.network, run.network(batch.xy, batch.confidence), batch, settings)
    loss = total_loss(terms, settings.weights)
    terms |= {"loss": loss, "grad_norm": update(run, loss)}
    return StepTerms(run, terms, [f"drawn for step {run.step}"], {"learning_rate": lr})


@torch.no_grad()
def _validate(run: LifterRun) -> Score:
    """The negative loss on performances of other people, and errors in degrees and millimetres."""
    losses, figures = [], []
    for batch in run.validation:
        batch = batch.to(run.fabric.device)
        lifted = run.network(batch.xy, batch.confidence)
        losses.append(float(total_loss(compute_losses(run.network, lifted, batch, run.settings), run.settings.weights)))
        seen = batch.confidence >= MIN_CONFIDENCE
        elbows = (lifted.body_angles - batch.body_angles)[..., _ELBOWS].abs()
        fingers = (lifted.fingers - batch.fingers)[..., _FLEXION].abs()
        arms = (lifted.joints() - batch.joints).norm(dim=-1)[..., _ARM_JOINTS]
        hands = seen[..., [HANDS[side].start for side in SIDES]]
        errors = elbows[seen[..., _WRISTS]].rad2deg(), fingers[hands].rad2deg(), 1000 * arms[seen[..., _ARM_JOINTS]]
        figures.append([float(values.median()) for values in errors])
    values = dict(zip(FIGURES, np.mean(figures, 0).tolist(), strict=True))
    log.info("step %d: %s", run.step, ", ".join(f"{name} {value:.1f}" for name, value in values.items()))
    return -float(np.mean(losses)), values


def draw_batch(bank: Bank, errors: ErrorModel, settings: LifterSettings, step: int, stream: int = _TRAINING) -> Batch:
    """Simulate the batch of a step; training and validation use different random streams."""
    rng = np.random.default_rng([settings.seed, stream, step])
    poses = draw_poses(bank, settings.windows, settings.frames, rng, settings.variety)
    views = draw_views(poses.joints, rng)
    seen = simulate_detections(views, poses.joints, rng, errors)
    frame = window_frame(seen.image_xy)

    def tensor(values: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))

    hands = tensor(np.moveaxis(poses.hands, 0, 2))
    return Batch(
        xy=tensor(np.nan_to_num(frame.apply(seen.image_xy))),
        confidence=tensor(seen.confidence),
        true_xy=tensor(frame.apply(views.image_xy)),
        joints=tensor(poses.joints),
        body_angles=tensor(poses.body),
        palms=torch.stack(palm_frame("right", hands[..., :N_WRIST_ANGLES]), -1),
        fingers=hands[..., N_WRIST_ANGLES:],
        bones=tensor(np.concatenate([poses.body_offsets, poses.hand_offsets], -1))[:, None],
    )


def posed(lifted: Lifted) -> tuple[Tensor, Tensor]:
    """Body joints (B, T, 19, 3), and hands relative to their wrist (B, T, S, 21, 3), the left one mirrored."""
    body = torch.stack(pose_body(lifted.body_angles, lifted.body_offsets), -2)
    x, y, z = lifted.palms.unbind(-1)
    origin = torch.zeros_like(x)
    hands = pose_hand("right", (x, y, z), lifted.fingers, lifted.hand_offsets[..., None, :], origin)
    return body, torch.stack(hands, -2)


def compute_losses(lifter: Lifter, lifted: Lifted, batch: Batch, settings: LifterSettings) -> dict[str, Tensor]:
    """Compute every term of the loss, unweighted."""
    lifted, batch = lifted.every(settings.loss_step), batch.every(settings.loss_step)
    body, hands = posed(lifted)
    mirrors = body.new_tensor(_MIRRORS)
    joints = torch.cat((body, (hands * mirrors + body[..., _WRISTS, None, :]).flatten(-3, -2)), -2)
    true_body = batch.joints[..., BODY, :]
    true_hands = torch.stack([batch.joints[..., HANDS[side], :] for side in SIDES], -3)
    true_hands = (true_hands - batch.joints[..., _WRISTS, None, :]) * mirrors
    trust = settings.weights.unseen + (1 - settings.weights.unseen) * batch.confidence
    hand_trust = torch.stack([trust[..., HANDS[side]] for side in SIDES], -2)
    off = trust[..., BODY, None] * (body - true_body).abs()
    finger_off = _angle_loss(lifted.fingers, batch.fingers)
    bones = torch.cat((lifted.body_offsets, lifted.hand_offsets), -1)
    span = lifter.bone_limits[:, 1] - lifter.bone_limits[:, 0]
    errors = torch.cat(((body - true_body).norm(dim=-1), (hands - true_hands).norm(dim=-1).flatten(-2)), -1)
    return {
        "body": off.mean() + off[..., _ARM_JOINTS, :].mean(),
        "hands": (hand_trust[..., None] * (hands - true_hands).abs()).mean(),
        "body_angles": _angle_loss(lifted.body_angles, batch.body_angles).mean(),
        "palms": (hand_trust.mean(-1)[..., None, None] * (lifted.palms - batch.palms).abs()).mean(),
        "fingers": (hand_trust.mean(-1)[..., None] * body.new_tensor(_FINGER_WEIGHTS) * finger_off).mean(),
        "reprojection": (trust[..., None] * (project(joints, lifted.camera) - batch.true_xy).abs()).mean(),
        "bones": ((bones - batch.bones) / span).abs().mean(),
        "consistency": ((bones - bones.mean(1, keepdim=True)) / span).abs().mean(),
        "smoothness": _acceleration(joints - batch.joints).abs().mean(),
        "contact": _contact_loss(joints, batch.joints),
        "log_scale": _log_scale_loss(lifter, lifted.log_scale, errors.detach(), batch.confidence),
    }


def _angle_loss(ours: Tensor, theirs: Tensor) -> Tensor:
    return (ours.sin() - theirs.sin()).abs() + (ours.cos() - theirs.cos()).abs()


def _contact_loss(ours: Tensor, theirs: Tensor) -> Tensor:
    """Error of the differences between tips and wrists and the other hand, face and trunk, where these are near."""
    ours, theirs = (x[..., _SOURCES, None, :] - x[..., None, _DESTINATIONS, :] for x in (ours, theirs))
    near = torch.exp(-((theirs.norm(dim=-1) / _TOUCH_M) ** 2)) * (~torch.tensor(_SAME_PART, device=ours.device))
    return (near[..., None] * (ours - theirs).abs()).sum((-3, -2, -1)).mean()


def _acceleration(joints: Tensor) -> Tensor:
    return joints[:, 2:] - 2 * joints[:, 1:-1] + joints[:, :-2]


def _log_scale_loss(lifter: Lifter, log_scale: Tensor, errors: Tensor, confidence: Tensor) -> Tensor:
    """Negative log likelihood of the errors under Weibull distributions of the predicted scale."""
    above = lifter.shape.exp() * (errors.clamp_min(LEAST_ERROR).log() - log_scale)
    return ((confidence > 0) * (above.clamp_max(20).exp() - above - lifter.shape)).mean()


def total_loss(terms: dict[str, Tensor], weights: Weights) -> Tensor:
    """Weighted sum of the terms."""
    return sum((getattr(weights, name) * term for name, term in terms.items()), torch.zeros(()))
