"""Speed of the paper's pretraining step, beside plain timm on the same weights.

The whole step is `train_step` itself on synthetic windows: augmentation, masking, losses, backward, both optimisers.
Model FLOPs are counted by torch on our forward and backward pass, where hidden patches cost nothing, and are the same
for all rows; utilisation is their rate as a share of the GPU's dense bf16 peak. Without a GPU only ratios mean much,
and a step's memory is counted where the CPU allocates it: the same tensors, but not what a GPU's libraries take.
"""

import gc
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
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from signrep_core.bench.figures import Figure
from signrep_core.bench.workload import MEASURE_S, Workload
from signrep_core.config import Pretrain
from signrep_core.data.windows import Batch
from signrep_core.model.encoder import Encoded, Encoder, random_units
from signrep_core.model.signrep import SignRep
from signrep_core.skeleton import N_BODY_ANGLES, N_HAND_ANGLES, N_JOINTS
from signrep_core.train.execution import WARM_UP as CAPTURED_AFTER
from signrep_core.train.execution import Execution
from signrep_core.train.loop import RunSetup
from signrep_core.train.pretrain import COLUMNS, add_optimisers
from signrep_core.train.step import PretrainRun, train_step

ITERATIONS: Final = 500_000  # A3
WARM_UP: Final = {"cuda": CAPTURED_AFTER + 2, "cpu": 1}  # calls before those that are timed
STEPS: Final = {"cuda": 5, "cpu": 1}  # of a call: a GPU works on while the next step is started
UNCLIPPED: Final = 1e9  # norm of a gradient that is not reached, so that gradients can be compared
FLOAT32: Final = "32-true"
BF16: Final = "bf16-mixed"
# Dense bf16 TFLOP/s, from the makers' data sheets.
PEAKS: Final = MappingProxyType({"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "A10G": 70})


class PlainEncoder(Encoder):
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


def measure_step(work: Workload) -> Iterator[Figure]:
    """Median time, rate, share of peak, kernels, idle share and memory of a step, ours and plain timm's."""
    ways: list[tuple[str, type[Encoder], str, Execution]] = [
        ("plain timm, float32", PlainEncoder, FLOAT32, "eager"),
        ("ours, float32", Encoder, FLOAT32, "eager"),
        ("plain timm, bf16", PlainEncoder, BF16, "eager"),
        ("ours, bf16", Encoder, BF16, "eager"),
    ]
    if work.device == "cuda":
        ways += [("ours, bf16, compiled", Encoder, BF16, "compiled"), ("ours, bf16, graph", Encoder, BF16, "captured")]
    flops = _step_flops(work)
    yield Figure("model FLOPs of a window, forward and backward", flops / work.windows / 1e9, "GFLOP")
    for name, encoder, precision, execution in ways:
        yield from _measure_way(work, name, make_run(work, work.device, precision, execution, encoder), flops)
    if work.device == "cpu":
        yield Figure(f"tensors of a step of {work.windows}, bf16", _count_memory(work), "GB", note="counted on the CPU")


def _measure_way(work: Workload, name: str, run: PretrainRun, flops: int) -> Iterator[Figure]:
    """Figures of one way to run the step."""
    batch, gpu = synthetic_batch(work.windows), work.device == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats()

    def run_steps() -> None:
        terms = None
        for _ in range(STEPS[work.device]):
            before, terms = terms, train_step(run, batch)
            run.step += 1
            if before is not None:
                before.read()

    seconds = median_seconds(run_steps, work) / STEPS[work.device]
    yield Figure(f"step of {work.windows}, {name}", 1e3 * seconds, "ms", note=f"median of at most {work.repeats}")
    yield Figure(f"  rate, {name}", work.windows / seconds, "clips/s")
    if not gpu:
        return
    yield Figure(f"  memory, {name}", torch.cuda.max_memory_allocated() / 1e9, "GB")
    yield Figure(f"  500,000 steps, {name}", ITERATIONS * seconds / 3600, "h")
    if peak := next((peak for gpu, peak in PEAKS.items() if gpu in torch.cuda.get_device_name()), None):
        yield Figure(f"  share of the bf16 peak, {name}", 100 * flops / seconds / peak / 1e12, "%")
    kernels, busy = _profile_kernels(run_steps, STEPS[work.device])
    yield Figure(f"  kernels of a step, {name}", kernels)
    yield Figure(f"  idle share of the GPU, {name}", 100 * max(0.0, 1 - busy / seconds), "%")


def _profile_kernels(run_steps: Callable[[], None], n: int) -> tuple[float, float]:
    """Kernels and copies of each of n steps, and the seconds that they run."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        run_steps()
        torch.cuda.synchronize()
    own = [
        event for event in profiled.events() if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    ]
    return len(own) / n, sum(event.time_range.elapsed_us() for event in own) / 1e6 / n


def _step_flops(work: Workload) -> int:
    """FLOPs of the forward and backward pass of our model for the windows of a step."""
    model = SignRep(work.config)
    video = torch.randn(2, *model.encoder.input_shape)
    visible = random_units(2, model.encoder.n_units, Pretrain().mask_ratio)
    with FlopCounterMode(display=False) as counter:
        output = model(video, visible)
        torch.stack([prior.abs().mean() for prior in output.priors.values()]).sum().backward()
    return counter.get_total_flops() * work.windows // 2


def _count_memory(work: Workload) -> float:
    """Peak GB of the second of two steps in bf16: weights, optimisers, activations and the batch."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run, batch = make_run(work, "cpu", BF16), synthetic_batch(work.windows)
        for _ in range(2):
            train_step(run, batch).read()
            run.step += 1
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(trace))
        events = json.loads(trace.read_bytes())["traceEvents"]
    return max(float(event["args"]["Total Allocated"]) for event in events if event.get("name") == "[memory]") / 1e9


def make_run(
    work: Workload, device: str, precision: Any, execution: Execution = "eager", encoder: type[Encoder] = Encoder
) -> PretrainRun:
    """A pretraining with the same initial weights in every call, for `train_step` on batches that are given to it."""
    forget_runs(work)
    torch.manual_seed(0)
    model = SignRep(work.config)
    model.encoder.__class__ = encoder  # the same weights, another forward pass
    settings = Pretrain(batch_size=work.windows, warmup=0, clip=UNCLIPPED)
    unused: Any = None
    run = PretrainRun(
        kind="benchmark", fabric=Fabric(accelerator=device, devices=1, precision=precision),
        settings=settings, setup=RunSetup(work.out), values={}, data={},
        iterations=ITERATIONS, columns=COLUMNS, selection="", network=model, dataset=unused, open_validation=unused,
        validation=unused, validation_rows=unused, execution=execution,
    )  # fmt: skip
    add_optimisers(run, model)
    return run


def forget_runs(work: Workload) -> None:
    """Drop what earlier runs have left: compiled steps, of which PyTorch keeps eight, and memory of the GPU."""
    if work.device == "cuda":
        torch.compiler.reset()
        gc.collect()
        torch.cuda.empty_cache()


def synthetic_batch(n: int) -> Batch:
    """The same batch of noise in every call, in the loader's shapes."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(n, 16, *shape, generator=generator)

    tensors = {
        "frames": torch.randint(0, 256, (n, 16, 384, 256), dtype=torch.uint8, generator=generator),
        "body_angles": normal(N_BODY_ANGLES),
        "right_angles": normal(N_HAND_ANGLES),
        "left_angles": normal(N_HAND_ANGLES),
        "keypoints": normal(N_JOINTS, 3),
        "confidence": torch.ones(n, 16, N_JOINTS),
        "active": torch.ones(n, 2, dtype=torch.bool),
        "active_known": torch.ones(n, 2, dtype=torch.bool),
    }
    videos = torch.arange(n) // 2
    return Batch(tensors, videos, [f"window {k}" for k in range(n)], [])


def median_seconds(call: Callable[[], object], work: Workload) -> float:
    """Median time of `work.repeats` calls, or of as many as MEASURE_S allow, after WARM_UP calls.

    On a GPU a call ends when all its work is done.
    """
    for _ in range(WARM_UP[work.device]):
        call()
    times: list[float] = []
    while len(times) < work.repeats and sum(times) < MEASURE_S:
        _synchronise(work.device)
        begun = time.perf_counter()
        call()
        _synchronise(work.device)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
