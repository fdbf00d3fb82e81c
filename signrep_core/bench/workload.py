"""Sizes of the benchmark of a GPU: the paper's model, or a tiny one that a CPU runs in seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Workload:
    """Model, batch and repetitions of the measurements, and the device that they run on."""

    out: Path  # folder for files
    device: Literal["cuda", "cpu"] = "cuda"
    preset: Literal["base", "tiny"] = "base"
    windows: int = 20  # of a step (A3)
    repeats: int = 20  # timed calls of a measurement


def tiny(out: Path, device: Literal["cuda", "cpu"]) -> Workload:
    """Sizes for tests of the benchmark itself."""
    return Workload(out, device, preset="tiny", windows=4, repeats=3)
