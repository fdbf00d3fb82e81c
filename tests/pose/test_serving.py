"""Networks served to several processes: joined to batches, each answered with its own outputs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from signrep_core.config import Pose
from signrep_core.errors import SignRepError
from signrep_core.pose.models import WHEEL, find_models
from signrep_core.pose.networks import RECROP_SIDE, torch_runs
from signrep_core.pose.serving import connect_networks, place_networks, serve_networks

CROPS = np.random.default_rng(0).integers(0, 256, (4, RECROP_SIDE, RECROP_SIDE, 3), np.uint8)


def sums(crops: np.ndarray) -> list[np.ndarray]:
    """A network whose output is four times the sum of each crop."""
    return [np.repeat(crops.sum((1, 2, 3), dtype=np.float32)[:, None], 4, 1).reshape(-1, 1, 1, 4)]


def expected(crops: np.ndarray) -> np.ndarray:
    return np.repeat(crops.sum((1, 2, 3), dtype=np.float32), 4).reshape(-1, 2, 2)


def test_calls_that_wait_become_one_batch_and_get_their_own_outputs() -> None:
    sizes, begun, go_on = [], Event(), Event()

    def slow(crops: np.ndarray) -> list[np.ndarray]:
        sizes.append(len(crops))
        begun.set()
        go_on.wait(10)
        return sums(crops)

    parts = [CROPS[:1], CROPS[1:3], CROPS[3:]]
    with serve_networks({"recrop": slow}) as address, ThreadPoolExecutor() as pool:
        first = pool.submit(connect_networks(address).recrop, parts[0])
        assert begun.wait(10)
        others = [pool.submit(connect_networks(address).recrop, part) for part in parts[1:]]
        go_on.set()
        for future, part in zip([first, *others], parts, strict=True):
            np.testing.assert_array_equal(future.result(10), expected(part))
    assert sum(sizes) == 4
    assert sizes[0] == 1


def test_a_dead_worker_leaves_the_others_alone() -> None:
    with serve_networks({"recrop": sums}) as address:
        code = (
            "import os, numpy as np; from multiprocessing.connection import Client;"
            f"c = Client({address!r}, 'AF_UNIX'); c.send(('recrop', np.zeros((1, 256, 256, 3), np.uint8))); os._exit(1)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1
        np.testing.assert_array_equal(connect_networks(address).recrop(CROPS), expected(CROPS))


def test_a_failed_batch_is_one_clear_error() -> None:
    def fail(crops: np.ndarray) -> list[np.ndarray]:
        raise RuntimeError("CUDA out of memory")

    with serve_networks({"recrop": fail}) as address, pytest.raises(SignRepError, match="GPU failed: CUDA out of"):
        connect_networks(address).recrop(CROPS)


def test_float16_networks_are_served(tmp_path: Path) -> None:
    runs = torch_runs({"recrop": find_models(WHEEL, tmp_path)["recrop"]}, "cpu")
    with serve_networks(runs) as address:
        served = connect_networks(address).recrop(CROPS)
    np.testing.assert_allclose(served, runs["recrop"](CROPS)[0].reshape(-1, 2, 2), atol=0.5)


def test_a_job_on_the_cpu_serves_nothing_and_one_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with place_networks(Pose()) as place:
        assert place == "cpu"
    with place_networks(Pose(engine="mediapipe", device="cuda")) as place:
        assert place == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with (
        pytest.raises(SignRepError, match=r"pose\.device: PyTorch finds no CUDA GPU"),
        place_networks(Pose(device="cuda")),
    ):
        pass
