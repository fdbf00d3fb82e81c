"""The step as a function of tensors: what it asks of a device, and that compiling it changes nothing."""

import dataclasses
from collections import Counter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch.utils._python_dispatch import TorchDispatchMode

from signrep_core.config import Pretrain
from signrep_core.data import augment
from signrep_core.data.windows import Batch
from signrep_core.model.signrep import PRESETS, SignRep
from signrep_core.skeleton import N_BODY_ANGLES, N_HAND_ANGLES, N_JOINTS
from signrep_core.train import execution
from signrep_core.train.loop import RunSetup
from signrep_core.train.pretrain import COLUMNS, add_optimisers
from signrep_core.train.step import PretrainRun, draw_inputs, train_step

MICRO = dataclasses.replace(
    PRESETS["tiny"],
    encoder=dataclasses.replace(PRESETS["tiny"].encoder, image_size=32, embed_dim=16, stages=(1, 1, 1, 1)),
    decoder_channels=(64, 48),
)
SETTINGS = Pretrain(
    initial_weights="scratch", preset="tiny", mask_ratio=0.5, iterations=12, learning_rate=1e-3, warmup=2
)
WAITS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "lift_fresh")  # for the device or its copies
VIEWS = MappingProxyType(dict.fromkeys(
    ("view", "_unsafe_view", "unsqueeze", "squeeze", "expand", "select", "slice", "transpose", "t", "permute", "unbind",
     "split", "split_with_sizes", "detach", "alias", "as_strided", "unfold", "empty", "empty_like"), 0))  # fmt: skip


def make_run(precision: Any = "32-true", **values: Any) -> PretrainRun:
    torch.manual_seed(0)
    model, unused = SignRep(MICRO), None
    run = PretrainRun(
        kind="test", fabric=Fabric(accelerator="cpu", devices=1, precision=precision), setup=RunSetup(Path()),
        settings=SETTINGS.model_copy(update=values), values={}, data={}, iterations=12, columns=COLUMNS, selection="",
        network=model, dataset=unused, open_validation=unused, validation=unused, validation_rows=unused,
    )  # type: ignore[arg-type]  # fmt: skip
    add_optimisers(run, model)
    return run


def make_batch(n: int = 4) -> Batch:
    random = torch.Generator().manual_seed(1)
    shapes = {"body_angles": (N_BODY_ANGLES,), "right_angles": (N_HAND_ANGLES,), "left_angles": (N_HAND_ANGLES,),
              "keypoints": (N_JOINTS, 3)}  # fmt: skip
    tensors = {name: torch.randn(n, 16, *shape, generator=random) for name, shape in shapes.items()}
    return Batch(
        tensors | {
            "frames": torch.randint(0, 256, (n, 16, 96, 64), dtype=torch.uint8, generator=random),
            "confidence": torch.rand(n, 16, N_JOINTS, generator=random),
            "active": torch.rand(n, 2, generator=random) > 0.5,
            "active_known": torch.rand(n, 2, generator=random) > 0.1,
        },
        torch.arange(n) // 2, [f"window {k}" for k in range(n)], [],
    )  # fmt: skip


class Operations(TorchDispatchMode):
    """Count the operations of torch by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(function).split(".")[1]] += 1
        return function(*args, **(kwargs or {}))


def test_a_step_waits_for_nothing_and_takes_no_more_operations_than_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it was written so: 2,091 operations besides views, 151 of which waited for the device."""
    monkeypatch.setattr(augment, "_BY_SUMS", ())  # as on a GPU
    run = make_run()
    inputs = draw_inputs(run, make_batch())
    run.compute(inputs)
    with Operations() as counted:
        run.compute(inputs)
    assert not [name for name in counted.counts if name in WAITS]
    assert sum(n for name, n in counted.counts.items() if name not in VIEWS) <= 1040


def test_a_step_leaves_no_gradients_and_its_inputs_have_the_same_shapes_each_time() -> None:
    """A captured graph needs both."""
    run = make_run()
    shapes = []
    for _ in range(2):
        train_step(run, make_batch())
        run.step += 1
        shapes.append({name: (x.shape, x.dtype) for name, x in draw_inputs(run, make_batch()).items()})
    assert shapes[0] == shapes[1]
    assert all(p.grad is None for module in (run.network, run.discriminator) for p in module.parameters())


@pytest.mark.slow
def test_the_compiled_step_is_traced_without_breaks_and_gives_the_terms_of_the_eager_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traced as on a GPU; the graphs run without code of their own, which a compiler would need a minute for."""
    monkeypatch.setattr(augment, "_BY_SUMS", ())  # as compiled: bfloat16 enlarges the last digit's difference
    compile_by = torch.compile
    monkeypatch.setattr(execution.torch, "compile", lambda part, **how: compile_by(part, backend="eager", **how))
    eager, compiled = make_run("bf16-mixed"), make_run("bf16-mixed")
    compiled.execution = "compiled"
    for _ in range(2):
        expected, found = (train_step(run, make_batch()).read() for run in (eager, compiled))
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
        eager.step = compiled.step = eager.step + 1


def test_other_losses_than_the_reconstruction_count_after_their_first_step() -> None:
    run = make_run(regularize_after=1)
    first = train_step(run, make_batch()).read()
    run.step += 1
    second = train_step(run, make_batch()).read()
    assert first["loss"] == pytest.approx(first["reconstruction"])
    assert second["loss"] > second["reconstruction"] + 0.5


@pytest.mark.parametrize(
    ("wanted", "device", "ranks", "expected"),
    [
        (True, "cpu", 1, "eager"),
        (False, "cuda", 1, "eager"),
        (True, "cuda", 1, "captured"),
        (True, "cuda", 8, "compiled"),
    ],
)
def test_a_single_gpu_captures_and_several_compile(wanted: bool, device: str, ranks: int, expected: str) -> None:
    assert execution.choose_execution(wanted, torch.device(device), ranks) == expected
