"""Pretraining end to end: loader and steps, the time that is waited for data, SIGTERM and exact continuation.

One run is trained without a break in this process. Another one, with the same settings, is a process of its own: it is
stopped by SIGTERM on the way, and continued in this process.
"""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from signrep_core.bench.figures import Figure
from signrep_core.bench.step import forget_runs
from signrep_core.bench.workload import Workload
from signrep_core.config import SCRATCH, Pretrain
from signrep_core.errors import SignRepError
from signrep_core.store.files import write_text
from signrep_core.store.layout import METRICS
from signrep_core.train.launch import Devices
from signrep_core.train.loop import RunSetup
from signrep_core.train.pretrain import pretrain, start_model

START_S: Final = 300.0  # seconds that a process may take until its first metrics
WAITED_LIMIT: Final = 5.0  # % of the time, on a GPU
DRIFT_LIMIT: Final = 0.02  # of the way that the weights went; sums on a GPU have no fixed order
POLL_S: Final = 0.05


def measure_training(work: Workload) -> Iterator[Figure]:
    """Rate of a run, share of time waited for data, and what a stop by SIGTERM changes."""
    settings = Pretrain(
        initial_weights=SCRATCH, preset=work.preset, batch_size=work.windows, iterations=work.training_steps,
        warmup=work.training_steps // 10, workers=work.workers, validate_every=work.training_steps,
        log_every=max(1, work.training_steps // 30),
    )  # fmt: skip
    devices = Devices(accelerator=work.device)
    whole, broken = work.out / "run_whole", work.out / "run_stopped"
    for folder in (whole, broken):
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier benchmark
    forget_runs(work)
    pretrain(work.shards, settings, RunSetup(whole, devices=devices))
    rows = _read_metrics(whole / METRICS)
    later = rows[len(rows) // 2 :]  # without the start of the workers and the compilation
    waited = 100 * sum(float(row["data_wait"]) for row in later) / len(later)
    rate = sum(float(row["clips_per_s"]) for row in later) / len(later)
    yield Figure(f"clips in the second half of {work.training_steps} steps", rate, "clips/s")
    limit = WAITED_LIMIT if work.device == "cuda" else None
    yield Figure("time waited for data", waited, "%", at_most=limit)
    status, seconds = _stop_on_the_way(work, settings, broken)
    yield Figure("exit status after SIGTERM", status, at_most=0)
    yield Figure("SIGTERM to the end of the process", seconds, "s")
    done = int(_read_metrics(broken / "last" / METRICS)[-1]["step"])
    yield Figure("steps before the stop", done, at_least=1, at_most=work.training_steps - 1)
    forget_runs(work)
    ended = pretrain(work.shards, settings, RunSetup(broken, devices=devices))
    yield Figure("steps after the continuation", ended.step, at_least=work.training_steps)
    start = start_model(settings, 0, work.shards).state_dict()
    drift = compare_weights(load_file(ended.weights), load_file(whole / ended.weights.name), start)
    yield Figure("weights after the continuation, error as a share of their way", drift, at_most=DRIFT_LIMIT)


def _stop_on_the_way(work: Workload, settings: Pretrain, out: Path) -> tuple[int, float]:
    """Start `signrep pretrain`, send SIGTERM after its first metrics; its exit status and the seconds until then.

    Raises:
        SignRepError: the process ended before, or has no metrics after START_S.
    """
    configuration = work.out / "run_stopped.yaml"
    write_text(configuration, yaml.safe_dump({"pretrain": settings.model_dump(mode="json")}))
    command = ["pretrain", "--shards", str(work.shards), "--out", str(out), "--configfile", str(configuration)]
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if work.device == "cpu" else {}
    with open(work.out / "run_stopped.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "signrep_core", *command], env={**os.environ, **hidden}, stdout=log, stderr=log
        )
        try:
            _await_metrics(process, out / "last" / METRICS, log.name)
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            return process.wait(START_S), time.monotonic() - began
        finally:
            process.kill()


def _await_metrics(process: "subprocess.Popen[bytes]", metrics: Path, log: str) -> None:
    """Wait for the first row of metrics."""
    end = time.monotonic() + START_S
    while not (metrics.exists() and _read_metrics(metrics)):
        if process.poll() is not None:
            raise SignRepError(f"the run that was to be stopped ended with status {process.returncode}; see {log}")
        if time.monotonic() > end:
            raise SignRepError(f"the run that was to be stopped has no metrics after {START_S:.0f} s; see {log}")
        time.sleep(POLL_S)


def _read_metrics(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compare_weights(found: dict[str, Tensor], expected: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """Distance of two results of a training, as a share of the way from its start."""

    def distance(weights: dict[str, Tensor]) -> float:
        return float(torch.stack([(weights[name] - expected[name]).double().norm() for name in expected]).norm())

    return distance(found) / distance({name: start[name].cpu() for name in expected})
