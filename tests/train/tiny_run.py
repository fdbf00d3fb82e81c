"""A training of one number per weight, to be started, killed and started again: `python -m tests.train.tiny_run OUT`.

Each step takes the mean of its batch; after step s the weight is a function of s alone, on any number of devices.
"""

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset

from signrep_core.config import Pretrain
from signrep_core.data.stream import Loading, batch_items, read_ahead
from signrep_core.model.weights import write_weights
from signrep_core.train.launch import Devices, launch
from signrep_core.train.loop import Run, RunSetup, StepTerms, TrainResult, share_of, train, update

ITEMS = 4  # of a batch


class Numbers(Dataset[Tensor]):
    """Item i is i mod 7; reading takes `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __getitem__(self, item: int) -> Tensor:
        time.sleep(self.seconds)
        return torch.tensor(float(item % 7))


class Examples:
    """A batch of numbers."""

    broken: Sequence[str] = ()

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)


class Network(nn.Module):
    """A weight that is added to each number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("ballast", torch.zeros(250_000))  # a megabyte, so that writing takes a while

    def forward(self, numbers: Tensor) -> Tensor:
        return numbers + self.weight

    def save(self, path: Path, notes: dict[str, str]) -> None:
        """Write the weight."""
        write_weights(path, self.state_dict(), {"format": "tiny", "notes": notes})


def load(seconds: float, loading: Loading, steps: range) -> Iterator[Examples]:
    """The batches of the given steps."""
    batches = list(batch_items(steps, ITEMS, loading.rank, loading.ranks))
    for numbers in read_ahead(Numbers(seconds), loading.workers, batch_sampler=batches):
        yield Examples(numbers)


def step(run: Run, batch: Examples) -> StepTerms:
    """Move the weight towards minus the mean of the batch."""
    loss = run.model(batch.numbers.to(run.fabric.device)).square().mean()
    return StepTerms(run, {"loss": loss, "grad_norm": update(run, loss)}, ["numbers"], {})


def validate(run: Run) -> tuple[float, dict[str, float]]:
    """The negative loss since the last time."""
    return -run.since_validation.mean("loss"), {}


def job(fabric: Fabric, out: Path, settings: Pretrain, seconds: float) -> TrainResult:
    """Train."""
    network = Network()
    run = Run(
        kind="tiny", fabric=fabric, setup=RunSetup(out), settings=settings, values={}, data={},
        iterations=settings.iterations, columns=("step", "loss", "grad_norm", "clips_per_s", "data_wait", "broken",
        "selection"), selection="loss", network=network,
    )  # fmt: skip
    run.model, run.optimiser = fabric.setup(network, torch.optim.SGD(network.parameters(), lr=0.1))
    return train(run, partial(load, seconds, share_of(fabric, settings.workers)), step, lambda run: {}, validate)


def main() -> None:
    """Train as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--devices", type=int)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--save-every", type=int, default=1000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    settings = Pretrain(
        iterations=options.steps, workers=options.workers, save_every=options.save_every, log_every=1, clip=1e6
    )
    settings = settings.model_copy(update={"validate_every": options.steps})
    result = launch(
        partial(job, out=options.out, settings=settings, seconds=options.seconds), Devices("cpu", options.devices)
    )
    print("finished" if result.finished else f"stopped after {result.step}")


if __name__ == "__main__":
    main()
