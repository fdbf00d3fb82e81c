"""Places of processes that train together, and their end when one of them is told to end."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from lightning_fabric.plugins.environments.lightning import find_free_network_port

from signrep_core.errors import TrainingError
from signrep_core.model.weights import read_weights
from signrep_core.train import launch
from signrep_core.train.checkpoint import load_state
from signrep_core.train.launch import Devices, Place, check_shares, count_processes, find_place

TORCHRUN = {"WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "GROUP_RANK": "1",
            "MASTER_ADDR": "first", "MASTER_PORT": "29500"}  # fmt: skip
SRUN = {"SLURM_JOB_ID": "123456", "SLURM_STEP_ID": "2", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8",
        "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_STEP_NODELIST": "gpu[03-04]",
        "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}  # fmt: skip
STARTED = {*TORCHRUN, *SRUN, *launch.OF_MPI}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of the machine that the tests run on."""
    for name in STARTED:
        monkeypatch.delenv(name, raising=False)


def started(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


# ---------------------------------------------------------------- place


def test_torchrun_gives_the_place() -> None:
    assert find_place(TORCHRUN) == Place(5, 1, 8, 2, 1, "first", 29500)
    assert find_place(TORCHRUN | SRUN) == find_place(TORCHRUN)  # torchrun within a Slurm job


def test_srun_gives_the_place_and_all_tasks_of_a_step_have_one_port() -> None:
    """15,000 + (job 123456 + step 2) mod 10,000."""
    assert find_place(SRUN) == Place(5, 1, 8, 2, 1, "gpu03", 18458)
    named = SRUN | {"MASTER_ADDR": "head", "MASTER_PORT": "4000"}
    assert find_place(named) == Place(5, 1, 8, 2, 1, "head", 4000)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},  # srun with one task
        {"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_NTASKS_PER_NODE": "8"},  # a batch script without srun
        {"OMPI_COMM_WORLD_SIZE": "1"},
    ],
)
def test_one_task_is_alone(environment: dict[str, str]) -> None:
    assert find_place(environment) is None


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "8"}, "has WORLD_SIZE but not RANK, .*MASTER_PORT: torchrun sets all of them; .*or unset"),
        ({"RANK": "0"}, "has RANK but not WORLD_SIZE"),
        (TORCHRUN | {"RANK": "x"}, "RANK: expected a number from torchrun or srun, got 'x'; unset it"),
        (TORCHRUN | {"RANK": "8"}, "RANK 8, LOCAL_RANK 1: expected the same number of processes on every machine"),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "3"}, "WORLD_SIZE 8, LOCAL_WORLD_SIZE 3"),
        (SRUN | {"SLURM_STEP_TASKS_PER_NODE": "5,3"}, "8 tasks on 2 machines, not the same number .*ntasks-per-node"),
        ({"SLURM_PROCID": "3"}, "SLURM_STEP_NUM_TASKS is missing: use srun"),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, "MPI started several processes: use torchrun or srun"),
    ],
)
def test_a_place_that_is_no_place_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        find_place(environment)


# ---------------------------------------------------------------- number of devices


def test_the_number_of_processes_is_that_of_the_environment_or_of_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_processes(Devices("cpu")) == 1
    assert count_processes(Devices("cpu", 3)) == 3
    started(monkeypatch, {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"})
    assert count_processes(Devices("cpu", 2)) == 2  # in a Slurm job of one task
    started(monkeypatch, SRUN)
    assert count_processes(Devices("cpu")) == count_processes(Devices("cpu", 4, 2)) == 8
    for devices in (Devices("cpu", 1), Devices("cpu", 4, 1)):
        with pytest.raises(TrainingError, match="srun started 4 processes on each of 2 machines; leave --"):
            count_processes(devices)


def test_a_job_of_several_tasks_without_srun_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started(monkeypatch, {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"})
    assert launch.launch(partial(lambda fabric: fabric.world_size), Devices("cpu")) == 1
    assert "this Slurm job has 8 tasks, and one of them trains: start the command through srun" in caplog.text


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (Devices("cpu", 0), "--devices: expected 1 or more, got 0"),
        (Devices("cpu", -1), "--devices: expected 1 or more, got -1"),
        (Devices("cpu", 1, 2), "--nodes 2: .* alone; start the same command on every machine through torchrun or srun"),
        (Devices("cuda", 3), "--devices 3: this machine has 2 GPUs that CUDA_VISIBLE_DEVICES allows; give at most"),
    ],
)
def test_devices_that_are_not_there_are_refused(
    devices: Devices, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(TrainingError, match=message):
        count_processes(devices)


def test_srun_may_show_each_process_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    started(monkeypatch, SRUN)
    assert count_processes(Devices("cuda")) == 8


def test_a_batch_that_devices_cannot_share_names_the_numbers_that_work() -> None:
    """The paper's ten videos; two windows of each are 16 · 2 for eight devices."""
    for n in (1, 2, 5, 10):
        check_shares(10, "videos", "pretrain.batch_size", Devices("cpu", n), scale=2)
    with pytest.raises(
        TrainingError,
        match=r"8 devices cannot share the 10 videos .*give 1, 2, 5, 10 devices, or .*pretrain.batch_size: 32, which",
    ):
        check_shares(10, "videos", "pretrain.batch_size", Devices("cpu", 8), scale=2)


# ---------------------------------------------------------------- processes


def start(out: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.train.tiny_run", str(out), *options]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    out, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    return out.strip()


def await_step(out: Path, process: subprocess.Popen[str]) -> None:
    """Wait until some steps are done."""
    metrics = out / "last/metrics.csv"
    while process.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < 4):
        time.sleep(0.02)


def weight(out: Path) -> Any:
    return read_weights(out / "best.safetensors", "")[0]["weight"].item()


def expected(steps: int = 40) -> float:
    """Gradient descent by hand: the rate is 0.1, the gradient 2 (mean + weight), numbers are i mod 7, four a step."""
    value = 0.0
    for step in range(steps):
        value -= 0.1 * 2 * (sum((4 * step + k) % 7 for k in range(4)) / 4 + value)
    return value


def assert_state(out: Path, step: int) -> None:
    """The resume state is that after a step."""
    state = load_state(out / "last/state.pt")
    assert (state["step"], state["model"]["weight"].item()) == (step, pytest.approx(expected(step)))


@pytest.mark.slow
def test_sigterm_to_the_whole_group_with_loader_workers_saves_the_state(tmp_path: Path) -> None:
    process = start(tmp_path, "--workers", "2", "--seconds", "0.05")
    await_step(tmp_path, process)
    os.killpg(process.pid, signal.SIGTERM)
    step = int(finish(process).removeprefix("stopped after "))
    assert_state(tmp_path, step)


@pytest.mark.slow
def test_sigterm_to_the_parent_alone_reaches_both_ranks_and_leaves_no_orphans(tmp_path: Path) -> None:
    process = start(tmp_path, "--devices", "2", "--workers", "1", "--seconds", "0.05")
    await_step(tmp_path, process)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 4  # two ranks and their workers
    process.terminate()
    step = int(finish(process).removeprefix("stopped after "))
    assert psutil.wait_procs(below, timeout=20)[1] == []
    assert_state(tmp_path, step)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_continues_from_a_whole_state(tmp_path: Path) -> None:
    """The state is being written most of the time: there is one in each step."""
    process, state = start(tmp_path, "--save-every", "1", "--seconds", "0.01"), tmp_path / "last/state.pt"
    while process.poll() is None and not state.exists():
        time.sleep(0.001)
    time.sleep(0.1 * random.random())
    process.kill()
    process.communicate()
    assert_state(tmp_path, load_state(state)["step"])
    assert finish(start(tmp_path)) == "finished"
    assert weight(tmp_path) == pytest.approx(expected())


@pytest.mark.slow
def test_processes_that_torchrun_started_train_one_run_together(tmp_path: Path) -> None:
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": str(find_free_network_port())}  # fmt: skip
    both = [start(tmp_path, **common, RANK=str(k), LOCAL_RANK=str(k)) for k in range(2)]
    assert [finish(process) for process in both] == ["finished", "finished"]
    assert weight(tmp_path) == pytest.approx(expected())
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 41
