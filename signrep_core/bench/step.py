"""Speed of the paper's pretraining step, beside plain timm on the same weights.

The whole step is `train_step` itself on synthetic windows: augmentation, masking, losses, backward, both optimisers.
Model FLOPs are counted by torch on our forward and backward pass, where hidden patches cost nothing, and are the same
for all rows; utilisation is their rate as a share of the GPU's dense bf16 peak. Without a GPU only ratios mean much,
and a step's memory is counted where the CPU allocates it: the same tensors, but not what a GPU's libraries take.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from lightning_fabric import Fabric
from timm.models.hiera import Hiera
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from signrep_core.bench.figures import Figure
from signrep_core.bench.workload import Workload
from signrep_core.config import Pretrain
from signrep_core.data.windows import Batch
from signrep_core.model.encoder import Encoded, Encoder, random_units
from signrep_core.model.signrep import PRESETS, SignRep
from signrep_core.skeleton import N_BODY_ANGLES, N_HAND_ANGLES, N_JOINTS
from signrep_core.train.execution import WARM_UP as CAPTURE_AFTER
from signrep_core.train.execution import Execution
from signrep_core.train.loop import RunSetup
from signrep_core.train.pretrain import COLUMNS, add_optimisers
from signrep_core.train.step import PretrainRun, train_step

ITERATIONS: Final = 500_000  # A3
WARM_UP: Final = CAPTURE_AFTER + 2  # steps before those that are timed
# Dense bf16 TFLOP/s, from the makers' data sheets.
PEAKS: Final = MappingProxyType({"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "A10G": 70})


def measure_step(work: Workload) -> Iterator[Figure]:
    """Median time, rate, share of peak and memory of a step of `work.windows` windows, ours and plain timm's."""
    gpu = work.device == "cuda"
    ways: list[tuple[str, type[Encoder], str, Execution]] = [
        ("plain timm, float32", _PlainEncoder, "32-true", "eager"),
        ("ours, float32", Encoder, "32-true", "eager"),
        ("plain timm, bf16", _PlainEncoder, "bf16-mixed", "eager"),
        ("ours, bf16", Encoder, "bf16-mixed", "eager"),
    ]
    if gpu:
        ways.append(("ours, bf16, compiled", Encoder, "bf16-mixed", "compiled"))
        ways.append(("ours, bf16, captured", Encoder, "bf16-mixed", "captured"))
    flops = step_flops(work)
    yield Figure("model FLOPs of a window, forward and backward", flops / work.windows / 1e9, "GFLOP")
    for name, encoder, precision, execution in ways:
        seconds, memory = _time_step(work, encoder, precision, execution)
        yield Figure(f"step of {work.windows}, {name}", 1e3 * seconds, "ms", note=f"median of {work.repeats}")
        yield Figure(f"  rate, {name}", work.windows / seconds, "clips/s")
        if gpu:
            yield Figure(f"  memory, {name}", memory, "GB")
            yield Figure(f"  500,000 steps, {name}", ITERATIONS * seconds / 3600, "h")
            if peak := next((peak for gpu, peak in PEAKS.items() if gpu in torch.cuda.get_device_name()), None):
                yield Figure(f"  share of the bf16 peak, {name}", 100 * flops / seconds / peak / 1e12, "%")
    if not gpu:
        yield Figure(f"tensors of a step of {work.windows}, bf16", _count_memory(work), "GB", note="counted on the CPU")


class _PlainEncoder(Encoder):
    """The same weights through timm's own forward pass."""

    def forward(self, video: Tensor, visible: Tensor | None = None, stage: int = 1) -> Encoded:  # type: ignore[override]
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


def step_flops(work: Workload) -> int:
    """FLOPs of the forward and backward pass of our model for the windows of a step."""
    model = SignRep(PRESETS[work.preset])
    video = torch.randn(2, *model.encoder.input_shape)
    visible = random_units(2, model.encoder.n_units, Pretrain().mask_ratio)
    with FlopCounterMode(display=False) as counter:
        output = model(video, visible)
        torch.stack([prior.abs().mean() for prior in output.priors.values()]).sum().backward()
    return counter.get_total_flops() * work.windows // 2


def _time_step(work: Workload, encoder: type[Encoder], precision: Any, execution: Execution) -> tuple[float, float]:
    """Median seconds of one `train_step`, and the GPU's peak memory in GB."""
    gpu = work.device == "cuda"
    fabric = Fabric(accelerator=work.device, devices=1, precision=precision)
    run = _make_run(fabric, work, encoder, execution)
    batch = _synthetic_batch(work.windows)
    if gpu:
        torch.cuda.reset_peak_memory_stats()

    def step() -> None:
        train_step(run, batch)
        run.step += 1

    seconds = median_seconds(step, work.repeats)
    return seconds, torch.cuda.max_memory_allocated() / 1e9 if gpu else 0.0


def _count_memory(work: Workload) -> float:
    """Peak GB of the second of two steps in bf16: weights, optimisers, activations and the batch."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
        run = _make_run(fabric, work, Encoder, "eager")
        batch = _synthetic_batch(work.windows)
        for _ in range(2):
            train_step(run, batch)
            run.step += 1
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_bytes())["traceEvents"]
    return max(float(event["args"]["Total Allocated"]) for event in events if event.get("name") == "[memory]") / 1e9


def _make_run(fabric: Fabric, work: Workload, encoder: type[Encoder], execution: Execution) -> PretrainRun:
    torch.manual_seed(0)
    model = SignRep(PRESETS[work.preset])
    model.encoder.__class__ = encoder  # the same weights, another forward pass
    unused: Any = None
    run = PretrainRun(
        kind="benchmark", fabric=fabric, settings=Pretrain(batch_size=work.windows), setup=RunSetup(Path()), values={},
        data={}, iterations=ITERATIONS, columns=COLUMNS, selection="", network=model, dataset=unused,
        open_validation=unused, validation=unused, validation_rows=unused, execution=execution,
    )  # fmt: skip
    add_optimisers(run, model)
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


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after WARM_UP calls; on a GPU until all its work is done."""
    times = []
    for _ in range(WARM_UP + repeats):
        _synchronise()
        begun = time.perf_counter()
        work()
        _synchronise()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[WARM_UP:])


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
