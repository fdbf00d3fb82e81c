"""Networks on one GPU for many worker processes: the job's process runs them, the workers send it their crops.

A worker follows one video at a time, with crops of one frame or a few, which a GPU is too fast for. What waits while a
batch runs becomes the next batch. A worker that dies takes only its own connection with it.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import Any, Final, NamedTuple

import numpy as np

from signrep_core.config import Pose
from signrep_core.errors import SignRepError
from signrep_core.pose.models import NETWORKS
from signrep_core.pose.networks import Array, Crops, Networks, Run, open_networks

_GONE: Final = (EOFError, BrokenPipeError, ConnectionResetError)


class _Call(NamedTuple):
    """Crops for one network, and where its outputs go."""

    network: str
    crops: Crops
    outputs: "Future[list[Array]]"


@contextmanager
def place_networks(pose: Pose) -> Iterator[str]:
    """Give the place where a job's workers find the networks, for `find_networks`.

    Raises:
        SignRepError: as `open_networks`.
    """
    if pose.engine == "mediapipe" or pose.device == "cpu":
        yield "cpu"
        return
    with serve_networks(open_networks(pose.model, pose.device).runs) as address:
        yield address


def find_networks(model: str, place: str) -> Networks:
    """The networks at a place: a worker's own on the CPU, or those that the job's process serves."""
    return open_networks(model) if place == "cpu" else connect_networks(place)


@contextmanager
def serve_networks(runs: Mapping[str, Run]) -> Iterator[str]:
    """Run networks for other processes while the block lasts; gives the address for `connect_networks`."""
    calls: SimpleQueue[_Call | None] = SimpleQueue()
    with TemporaryDirectory() as folder, Listener(str(Path(folder) / "networks"), "AF_UNIX") as listener:
        batches = Thread(target=_run_batches, args=(runs, calls), daemon=True)
        for thread in (batches, Thread(target=_accept, args=(listener, calls), daemon=True)):
            thread.start()
        try:
            yield str(listener.address)
        finally:
            calls.put(None)
            batches.join()


def connect_networks(address: str) -> Networks:
    """The networks that another process serves; to be used by one thread at a time."""
    connection, lock = Client(address, "AF_UNIX"), Lock()

    def run(network: str, crops: Crops) -> list[Array]:
        with lock:
            connection.send((network, crops))
            outputs = connection.recv()
        if isinstance(outputs, str):
            raise SignRepError(outputs)
        return outputs

    return Networks("served", {name: partial(run, name) for name in NETWORKS})


def _accept(listener: Listener, calls: "SimpleQueue[_Call | None]") -> None:
    """Answer each connection in a thread of its own, until the listener is closed."""
    with suppress(OSError):
        while True:
            Thread(target=_answer, args=(listener.accept(), calls), daemon=True).start()


def _answer(connection: "Connection[Any, Any]", calls: "SimpleQueue[_Call | None]") -> None:
    """Pass a connection's calls on and send their outputs back, or the message of what failed."""
    with connection, suppress(*_GONE):
        while True:
            network, crops = connection.recv()
            call = _Call(network, crops, Future())
            calls.put(call)
            try:
                connection.send(call.outputs.result())
            except RuntimeError as error:  # of PyTorch, such as a lack of memory
                connection.send(f"the networks on the GPU failed: {error}")


def _run_batches(runs: Mapping[str, Run], calls: "SimpleQueue[_Call | None]") -> None:
    """Run all calls that wait, a batch for each network, until None comes."""
    while True:
        waiting = [calls.get()]
        with suppress(Empty):
            while True:
                waiting.append(calls.get_nowait())
        for name, run in runs.items():
            if batch := [call for call in waiting if call and call.network == name]:
                _run_batch(run, batch)
        if None in waiting:
            return


def _run_batch(run: Run, batch: list[_Call]) -> None:
    """Run calls of one network together."""
    ends = np.cumsum([len(call.crops) for call in batch])[:-1]
    try:
        outputs = [np.split(output, ends) for output in run(np.concatenate([call.crops for call in batch]))]
    except RuntimeError as error:
        for call in batch:
            call.outputs.set_exception(error)
        return
    for k, call in enumerate(batch):
        call.outputs.set_result([parts[k] for parts in outputs])
