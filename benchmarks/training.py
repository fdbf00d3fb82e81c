"""Speed of training: the tiny preset's step, the paper's encoder and whole step, compared with timm.

The whole step is `train_step` itself on synthetic windows: augmentation, masking, losses, backward, both optimisers.
Model FLOPs are counted by torch on our forward and backward pass, where hidden patches cost nothing, and are the same
for all rows; utilisation is their rate as a share of the GPU's dense bf16 peak. Without a GPU only ratios mean much,
and a step's memory is counted where the CPU allocates it: the same tensors, but not what a GPU's libraries take.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from lightning_fabric import Fabric
from timm.models.hiera import Hiera
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from signrep_core.config import Pretrain
from signrep_core.data.augment import augment, draw_augmentations
from signrep_core.data.windows import Batch
from signrep_core.model.discriminator import Discriminator, style_width
from signrep_core.model.encoder import Encoded, Encoder, random_units
from signrep_core.model.signrep import PRESETS, SignRep
from signrep_core.skeleton import N_BODY_ANGLES, N_HAND_ANGLES, N_JOINTS
from signrep_core.train.loop import RunSetup
from signrep_core.train.optimiser import make_adamw, parameter_groups
from signrep_core.train.pretrain import COLUMNS, stage_channels
from signrep_core.train.step import PretrainRun, train_step

WINDOWS = 20  # of a batch
ITERATIONS: Final = 500_000  # A3
# Dense bf16 TFLOP/s, from the makers' data sheets.
PEAKS: Final = MappingProxyType({"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "A10G": 70})


def rows() -> list[tuple[str, str]]:
    """(name, figure with unit) of each measurement."""
    device = "GPU" if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    torch.manual_seed(0)
    return [*_tiny(device), *_encoder(device), *_paper_steps()]


def _tiny(device: str) -> list[tuple[str, str]]:
    model = SignRep(PRESETS["tiny"])
    size = PRESETS["tiny"].encoder.image_size
    frames = torch.randint(0, 256, (WINDOWS, 16, 384, 256), dtype=torch.uint8)
    generator, crops = torch.Generator().manual_seed(0), (Pretrain().crop_area, Pretrain().crop_ratio)
    video = torch.randn(WINDOWS, 3, 16, size, size)

    def step() -> None:
        output = model(video)
        torch.stack([prior.abs().mean() for prior in output.priors.values()]).sum().backward()

    augmenting = _seconds(lambda: augment(frames, draw_augmentations(WINDOWS, generator, *crops), size))
    stepping = _seconds(step)
    return [
        (f"tiny: augmentation ({device})", f"{WINDOWS / augmenting:.0f} clips/s"),
        (f"tiny: forward and backward ({device})", f"{WINDOWS / stepping:.0f} clips/s"),
        (f"tiny: both ({device})", f"{WINDOWS / (augmenting + stepping):.0f} clips/s"),
    ]


def _encoder(device: str) -> list[tuple[str, str]]:
    """The paper's encoder in fp32, one window on a CPU and a batch on a GPU, against timm on the same weights."""
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n = WINDOWS if place.type == "cuda" else 1
    encoder = Encoder(PRESETS["base"].encoder).to(place).eval()
    video = torch.randn(n, 3, 16, 224, 224, device=place)
    visible = random_units(n, encoder.n_units, 0.8).to(place)
    mask = torch.zeros(n, encoder.n_units, dtype=torch.bool, device=place).scatter(1, visible, True)
    table = []
    for name, ours, theirs in (
        ("forward at 80 % masking", lambda: encoder(video, visible).tokens,
         lambda: Hiera.forward_features(encoder, video, mask=mask)),
        ("forward without mask", lambda: encoder(video).tokens, lambda: Hiera.forward_features(encoder, video)),
    ):  # fmt: skip
        with torch.no_grad():
            own, plain = _seconds(ours), _seconds(theirs)
        table.append((f"base: {name} ({device})", f"{n / own:.2f} clips/s, {plain / own:.2f}x plain timm"))
    own = _seconds(lambda: encoder(video, visible).tokens.mean().backward())
    plain = _seconds(lambda: Hiera.forward_features(encoder, video, mask=mask).mean().backward())
    what = f"base: forward and backward at 80 % masking ({device})"
    return [*table, (what, f"{n / own:.2f} clips/s, {plain / own:.2f}x plain timm")]


class _PlainEncoder(Encoder):
    """The same weights through timm's own forward pass."""

    def forward(self, video: Tensor, visible: Tensor | None = None, stage: int = 1) -> Encoded:
        mask = None
        if visible is not None:
            hidden = torch.zeros(len(video), self.n_units, dtype=torch.bool, device=video.device)
            mask = hidden.scatter(1, visible, True)
        caught: list[Tensor] = []
        handle = self.blocks[self.stage_ends[stage - 1]].register_forward_hook(
            lambda _m, _i, output: caught.append(output)
        )
        tokens = Hiera.forward_features(self, video, mask=mask)
        handle.remove()
        return Encoded(tokens, caught[0])


def _paper_steps() -> list[tuple[str, str]]:
    """The paper's training step: a batch of 20 on a GPU; on a CPU of 4, in fp32, once each."""
    gpu = torch.cuda.is_available()
    ways = [("plain timm, fp32", _PlainEncoder, "32-true", False), ("ours, fp32", Encoder, "32-true", False)]
    if gpu:
        ways[1:1] = [("plain timm, bf16", _PlainEncoder, "bf16-mixed", False)]
        ways += [("ours, bf16", Encoder, "bf16-mixed", False), ("ours, bf16, compiled", Encoder, "bf16-mixed", True)]
    n = WINDOWS if gpu else 4
    flops = _step_flops(n)
    table = [("base: model FLOPs of a step", f"{flops / n / 1e9:.1f} GFLOP a window at 80 % masking")]
    first = None
    for name, encoder, precision, compiled in ways:
        seconds, memory = _time_step(encoder, precision, compiled, n)
        first = first or seconds
        figure = f"{n / seconds:.2f} clips/s, {first / seconds:.2f}x the first, {flops / seconds / 1e12:.2f} TFLOP/s"
        table.append((f"base: training step of {n}, {name}", figure + _gpu_figures(flops, seconds, memory)))
    if not gpu:
        figure = f"{_count_memory(WINDOWS):.1f} GB of tensors at most (counted on the CPU)"
        table.append((f"base: training step of {WINDOWS}, ours, bf16", figure))
    return table


def _gpu_figures(flops: int, seconds: float, memory: float) -> str:
    if not torch.cuda.is_available():
        return " (CPU)"
    name = torch.cuda.get_device_name()
    peak = next((peak for gpu, peak in PEAKS.items() if gpu in name), None)
    share = f"{flops / seconds / peak / 1e12:.0%} of peak" if peak else "peak unknown"
    return f" = {share}, {ITERATIONS * seconds / 3600:.1f} h for 500,000, {memory:.1f} GB at most ({name})"


def _step_flops(n: int) -> int:
    """FLOPs of the forward and backward pass of our model."""
    model = SignRep(PRESETS["base"])
    video = torch.randn(2, *model.encoder.input_shape)
    visible = random_units(2, model.encoder.n_units, 0.8)
    with FlopCounterMode(display=False) as counter:
        output = model(video, visible)
        torch.stack([prior.abs().mean() for prior in output.priors.values()]).sum().backward()
    return counter.get_total_flops() * n // 2


def _time_step(encoder: type[Encoder], precision: Any, compiled: bool, n: int) -> tuple[float, float]:
    """Seconds of one `train_step`, and the GPU's peak memory in GB."""
    gpu = torch.cuda.is_available()
    fabric = Fabric(accelerator="gpu" if gpu else "cpu", devices=1, precision=precision)
    settings = Pretrain(batch_size=n)
    run = _make_run(fabric, settings, encoder, compiled)
    batch = _synthetic_batch(n, fabric.device.type == "cuda")
    if gpu:
        torch.cuda.reset_peak_memory_stats()

    def step() -> None:
        train_step(run, batch)
        run.step += 1

    seconds = _seconds(step, repeats=10 if gpu else 1)
    return seconds, torch.cuda.max_memory_allocated() / 1e9 if gpu else 0.0


def _count_memory(n: int) -> float:
    """Peak GB of the second of two steps in bf16: weights, optimisers, activations and the batch."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
        run = _make_run(fabric, Pretrain(batch_size=n), Encoder, compiled=False)
        batch = _synthetic_batch(n)
        for _ in range(2):
            train_step(run, batch)
            run.step += 1
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_bytes())["traceEvents"]
    return max(event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]") / 1e9


def _make_run(fabric: Fabric, settings: Pretrain, encoder: type[Encoder], compiled: bool) -> PretrainRun:
    model = SignRep(PRESETS["base"])
    model.encoder.__class__ = encoder  # the same weights, another forward pass
    judge = Discriminator(model.n_features, style_width(stage_channels(model, 1)), model.n_features)
    groups = parameter_groups(model, len(model.encoder.blocks), settings.layer_decay, settings.weight_decay)
    unused: Any = None
    run = PretrainRun(
        kind="benchmark", fabric=fabric, settings=settings, setup=RunSetup(Path()), values={}, data={},
        iterations=ITERATIONS, columns=COLUMNS, selection="", network=model, dataset=unused, open_validation=unused,
        validation=unused,
        validation_rows=unused,
    )  # fmt: skip
    optimiser = make_adamw(groups, settings.betas, settings.weight_decay, fabric.device)
    other = make_adamw(judge.parameters(), settings.discriminator_betas, 1e-3, fabric.device)
    run.model, run.optimiser = fabric.setup(torch.compile(model) if compiled else model, optimiser)
    run.discriminator, run.discriminator_optimiser = fabric.setup(judge, other)
    return run


def _synthetic_batch(n: int) -> Batch:
    """A batch of noise in the loader's shapes."""
    tensors = {
        "frames": torch.randint(0, 256, (n, 16, 384, 256), dtype=torch.uint8),
        "body_angles": torch.randn(n, 16, N_BODY_ANGLES),
        "right_angles": torch.randn(n, 16, N_HAND_ANGLES),
        "left_angles": torch.randn(n, 16, N_HAND_ANGLES),
        "keypoints": torch.randn(n, 16, N_JOINTS, 3),
        "confidence": torch.ones(n, 16, N_JOINTS),
        "active": torch.ones(n, 2, dtype=torch.bool),
        "active_known": torch.ones(n, 2, dtype=torch.bool),
    }
    videos = torch.arange(n) // 2
    return Batch(tensors, videos, [f"window {k}" for k in range(n)], [])


def _seconds(work: Callable[[], Tensor | None], repeats: int = 3) -> float:
    """The fastest of some repeats after one warm-up."""
    times = []
    for _ in range(repeats + 1):
        _synchronise()
        begun = time.perf_counter()
        work()
        _synchronise()
        times.append(time.perf_counter() - begun)
    return min(times[1:])


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
