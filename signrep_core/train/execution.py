"""Ways to run a training step that is a function of tensors: eagerly, compiled, or captured as one CUDA graph."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

Execution = Literal["eager", "compiled", "captured"]  # captured = compiled, and all kernels of a step as one CUDA graph
Compute = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]

WARM_UP: Final = 3  # steps before the capture: they compile, and libraries and allocator get ready


def choose_execution(compile_steps: bool, device: torch.device, ranks: int) -> Execution:
    """Execution for the setting `compile`: eager on a CPU; captured on a single GPU.

    The steps of several ranks are compiled only, since their reductions are not captured.
    """
    if not compile_steps or device.type != "cuda":
        return "eager"
    return "captured" if ranks == 1 else "compiled"


def compile_parts(run: Any, execution: Execution, *parts: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """Compile functions of a run, each as one graph; with several ranks its network alone, inside DDP's wrapper."""
    if execution == "eager":
        return parts
    if run.fabric.world_size > 1:
        run.network.compile()
        return parts
    return tuple(torch.compile(part, fullgraph=True, dynamic=False) for part in parts)


def capture(compute: Compute, optimisers: Sequence[Any]) -> Compute:
    """Run a function eagerly WARM_UP times, then capture it as a CUDA graph and replay that.

    It must not wait for the device, keep the shapes of its inputs, and leave no gradients behind. The tensors that it
    returns are the same in every replay: each overwrites them.
    """
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    calls = 0
    places: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        nonlocal calls, places, outputs
        calls += 1
        if calls <= WARM_UP:
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                found = compute(inputs)
            torch.cuda.current_stream().wait_stream(side)
            return found
        if not places:
            places = {name: tensor.clone() for name, tensor in inputs.items()}
            with _capturable(optimisers), torch.cuda.graph(graph, stream=side):
                outputs = compute(places)
        for name, place in places.items():
            place.copy_(inputs[name], non_blocking=True)
        graph.replay()
        return outputs

    return run


@contextmanager
def _capturable(optimisers: Sequence[Optimizer | None]) -> Iterator[None]:
    """Let optimisers be captured; a fused one, with rates on the device, keeps nothing on the host."""
    groups = [group for optimiser in optimisers if optimiser is not None for group in optimiser.param_groups]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in groups:
            group["capturable"] = False
