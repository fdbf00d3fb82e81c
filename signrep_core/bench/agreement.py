"""Agreement of devices, precisions and executions: the same step gives the same numbers.

The reference is a step on the CPU in float32. Errors are relative: of features and gradients the norm of the difference
over the norm of the reference, of losses the largest of all terms. The model has no random depth here, and all other
random numbers are drawn on the CPU, so that only rounding differs.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from signrep_core.bench.figures import Figure
from signrep_core.bench.step import BF16, FLOAT32, make_run, synthetic_batch
from signrep_core.bench.workload import Workload
from signrep_core.train.execution import Execution
from signrep_core.train.step import TERMS, train_step

# Largest relative errors: float32 rounds at 6e-8 and its sums have another order on each device, bf16 rounds at 4e-3.
LIMITS: Final = {FLOAT32: (1e-3, 1e-3, 1e-2), BF16: (5e-2, 5e-2, 0.3)}  # features, losses, gradients
SMALL: Final = 1e-2  # of a loss
NAMES: Final = {FLOAT32: "float32", BF16: "bf16"}
RUN_LIMITS: Final = {FLOAT32: 1e-2, BF16: 5e-2}  # largest relative error of a loss over several steps


class Found(NamedTuple):
    """Numbers of one step on the CPU."""

    features: Tensor  # (W, D)
    losses: Tensor  # of all terms
    gradients: Tensor  # of all parameters, as one vector


def measure_agreement(work: Workload) -> Iterator[Figure]:
    """Relative errors of features, losses and gradients, and of losses over several steps."""
    reference = compute_numbers(work, "cpu", FLOAT32)
    ways = [("cpu", BF16)] if work.device == "cpu" else [("cuda", FLOAT32), ("cuda", BF16)]
    for device, precision in ways:
        found = compute_numbers(work, device, precision)
        errors = (
            relative_error(found.features, reference.features),
            largest_error(found.losses, reference.losses),
            relative_error(found.gradients, reference.gradients),
        )
        for name, error, limit in zip(Found._fields, errors, LIMITS[precision], strict=True):
            yield Figure(f"{name}: {device} {NAMES[precision]} against CPU float32", error, at_most=limit)
    if work.device == "cuda":
        yield from _compare_executions(work)


def compute_numbers(work: Workload, device: str, precision: str) -> Found:
    """Features, losses and gradients of one step, the gradients as the optimiser gets them."""
    run = make_run(work, device, precision)
    gradients: list[Tensor] = []

    def keep_gradients(*_: Any) -> None:
        gradients.extend(p.grad.flatten().cpu() for p in run.network.parameters() if p.grad is not None)

    run.optimiser.optimizer.register_step_pre_hook(keep_gradients)
    terms = train_step(run, synthetic_batch(work.windows)).read()
    return Found(run.last_z.cpu(), torch.tensor([terms[name] for name in TERMS]), torch.cat(gradients))


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what is expected."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def largest_error(found: Tensor, expected: Tensor) -> float:
    """Largest relative error of several numbers; one below SMALL counts as SMALL."""
    return float(((found - expected).abs() / expected.abs().clamp(min=SMALL)).max())


def _compare_executions(work: Workload) -> Iterator[Figure]:
    """Compare the losses of several steps, compiled and as a CUDA graph, with those of eager steps."""
    executions: tuple[Execution, ...] = ("compiled", "captured")
    for precision in (FLOAT32, BF16):
        eager = step_losses(work, precision, "eager")
        for execution in executions:
            error = largest_error(step_losses(work, precision, execution), eager)
            what = f"loss of {work.compared_steps} steps, {NAMES[precision]}: {execution} against eager"
            yield Figure(what, error, at_most=RUN_LIMITS[precision])


def step_losses(work: Workload, precision: str, execution: Execution) -> Tensor:
    """Loss of each of several steps of training on one batch."""
    run, batch, losses = make_run(work, work.device, precision, execution), synthetic_batch(work.windows), []
    for _ in range(work.compared_steps):
        losses.append(train_step(run, batch).read()["loss"])
        run.step += 1
    return torch.tensor(losses)
