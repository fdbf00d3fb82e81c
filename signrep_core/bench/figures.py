"""Figures of a benchmark: thresholds, one JSON file written after each part, one printed table.

A subject (`signrep bench SUBJECT`) is a few named parts, each a function that yields figures. A part that fails is
recorded with its error, and the following parts are measured.
"""

import logging
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from signrep_core.store.files import write_json

log = logging.getLogger(__name__)

PACKAGES: Final = ("signrep", "torch", "numpy", "timm", "lightning-fabric", "av")
HEADER: Final = "| part | what | figure | threshold | |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Figure:
    """A measured value; it passes if it is a finite number within its thresholds."""

    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value is finite and within the thresholds."""
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return math.isfinite(self.value) and low <= self.value <= high


@dataclass
class Part:
    """The figures of one part; `error` says why it ended early."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether the part came to its end and all its figures passed."""
        return not self.error and all(figure.passed for figure in self.figures)


def measure_parts(
    path: Path, parts: Mapping[str, Callable[[], Iterable[Figure]]], settings: Mapping[str, Any]
) -> Iterator[Part]:
    """Measure the parts one after the other and yield each; `path` is written after each part.

    Args:
        path: of the JSON file.
        parts: name → function that yields the part's figures.
        settings: noted in the file.

    Raises:
        StorageError: the file cannot be written.
    """
    about = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "measured_on": describe_machine()}
    done: list[Part] = []
    for name, measure in parts.items():
        done.append(_measure(name, measure))
        found = {part.name: _as_json(part) for part in done}
        write_json(path, {**about, "settings": dict(settings), "complete": len(done) == len(parts), "parts": found})
        yield done[-1]


def format_part(part: Part) -> Iterator[str]:
    """Lines of a Markdown table below HEADER."""
    for figure in part.figures:
        note = f" ({figure.note})" if figure.note else ""
        mark = "" if (figure.at_least, figure.at_most) == (None, None) else "passed" if figure.passed else "FAILED"
        value = f"{figure.value:.4g} {figure.unit}".rstrip()
        yield f"| {part.name} | {figure.what} | {value}{note} | {_threshold(figure)} | {mark} |"
    if part.error:
        yield f"| {part.name} | ended after {part.seconds:.0f} s by an error | {part.error} | | FAILED |"


def describe_machine() -> dict[str, Any]:
    """Processor, GPUs and versions, to be noted beside figures."""
    import torch

    gpus = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads_of_torch": torch.get_num_threads(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "gpus": [f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB" for gpu in gpus],
        "cuda": torch.version.cuda if gpus else None,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def _measure(name: str, measure: Callable[[], Iterable[Figure]]) -> Part:
    part, began = Part(name), time.monotonic()
    try:
        for figure in measure():
            part.figures.append(figure)
    except Exception as error:  # whatever one part meets, the others are measured
        log.exception("the part %s of the benchmark failed", name)
        part.error = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    part.seconds = time.monotonic() - began
    return part


def _as_json(part: Part) -> dict[str, Any]:
    figures = [
        {**asdict(figure), "value": figure.value if math.isfinite(figure.value) else None, "passed": figure.passed}
        for figure in part.figures
    ]
    return {"passed": part.passed, "seconds": round(part.seconds, 2), "error": part.error, "figures": figures}


def _threshold(figure: Figure) -> str:
    bounds = ((figure.at_least, "≥"), (figure.at_most, "≤"))
    return ", ".join(f"{sign} {bound:.4g}" for bound, sign in bounds if bound is not None)


def _processor() -> str:
    """Name of the processor's model, as far as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
