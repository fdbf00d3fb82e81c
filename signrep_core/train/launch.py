"""Start a training on every device: in processes of its own, or in those that torchrun or srun started.

Each process gets its place from here alone, so that processes that were started together train together.
"""

import ctypes
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning_fabric.plugins.environments.lightning import find_free_network_port
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException, get_context, start_processes

from signrep_core.errors import SignRepError, TrainingError

log = logging.getLogger(__name__)

Precision = Literal["32-true", "bf16-mixed"]
Result = TypeVar("Result")

POLL_S: Final = 0.5  # between two looks at the processes
GRACE_S: Final = 10.0  # for the other processes to end after one has failed
OF_TORCHRUN: Final = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
OF_MPI: Final = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
FIRST_PORT: Final = 15_000  # of Slurm jobs, which have none of their own
PORTS: Final = 10_000
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Devices:
    """Devices that a training runs on."""

    accelerator: str = "auto"  # as Lightning Fabric takes it
    count: int | None = None  # GPUs of each machine, or processes on a CPU; None = all that were started together, or 1
    nodes: int | None = None  # machines; None = those that torchrun or srun started it on, or 1
    precision: Precision | None = None  # None = bf16 on a GPU, single precision on a CPU


class Place(NamedTuple):
    """Place of a process among those that train together; the default is that of a process alone."""

    rank: int = 0
    local_rank: int = 0  # among those of its machine
    size: int = 1  # processes on all machines
    nodes: int = 1
    node: int = 0
    address: str = "127.0.0.1"  # of the first process
    port: int = 0


def launch(job: Callable[[Fabric], Result], devices: Devices) -> Result:
    """Run a job in every process; return the result of the first one, or of this one if others were started with it.

    SIGTERM to this process reaches the processes that it starts, and it waits for them.

    Args:
        job: a partial, since Fabric inspects the arguments of a function and rejects frozen dataclasses.

    Raises:
        TrainingError: there are no such devices, or a process died.
    """
    size, place = count_processes(devices), find_place(os.environ)
    if place is None and (tasks := _number(os.environ, "SLURM_NTASKS", 1)) > size:
        log.warning("this Slurm job has %d tasks, and one of them trains: start the command through srun", tasks)
    if place is None and size > 1:
        return _start_processes(job, devices, size)
    return _run(job, devices, place or Place())


def count_processes(devices: Devices) -> int:
    """Number of processes that will train together.

    Raises:
        TrainingError: the machine lacks the devices, or the environment is of another number.
    """
    for name, value in (("--devices", devices.count), ("--nodes", devices.nodes)):
        if value is not None and value < 1:
            raise TrainingError(f"{name}: expected 1 or more, got {value}")
    place = find_place(os.environ)
    if place is None:
        if devices.nodes not in (None, 1):
            raise TrainingError(
                f"--nodes {devices.nodes}: this process was started alone; start the same command on every machine "
                "through torchrun or srun"
            )
        local, nodes = devices.count or 1, 1
    else:
        local, nodes = place.size // place.nodes, place.nodes
        for name, given, found in (("--devices", devices.count, local), ("--nodes", devices.nodes, nodes)):
            if given not in (None, found):
                raise TrainingError(f"{name} {given}: torchrun or srun started {local} processes on each of {nodes} "
                                    f"machines; leave {name} out, or start as many as it says")  # fmt: skip
    there = torch.cuda.device_count() if _uses_gpu(devices) else local
    if local > there and (place is None or there != 1):  # srun may show each process a GPU of its own
        raise TrainingError(
            f"--devices {local}: this machine has {there} GPUs"
            f"{' that CUDA_VISIBLE_DEVICES allows' if 'CUDA_VISIBLE_DEVICES' in os.environ else ''}; give at most that"
        )
    return local * nodes


def check_shares(items: int, unit: str, key: str, devices: Devices, scale: int = 1) -> None:
    """Check that each process gets the same number of a batch's items.

    Args:
        items: in a batch; `unit` names them, in the plural.
        key: of the configuration, which holds `scale` times as many.

    Raises:
        TrainingError: they cannot be shared; the message names the numbers of devices that work, and a larger batch.
    """
    size = count_processes(devices)
    if items % size:
        works = ", ".join(str(n) for n in range(1, items + 1) if not items % n)
        raise TrainingError(
            f"{size} devices cannot share the {items} {unit} of a batch evenly: give {works} devices, or a larger "
            f"batch, {key}: {scale * size * -(-items // size)}, which is another training than the paper's"
        )
    if size > 1:
        log.info("%d devices share a batch of %d %s", size, items, unit)


class Terminated(BaseException):
    """SIGTERM arrived within `Termination.raising`."""


class Termination(threading.Event):
    """SIGTERM: set once it has arrived."""

    _raises = False

    def arrive(self, *_signal: object) -> None:
        self.set()
        if self._raises:
            raise Terminated

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Leave the block at once when SIGTERM arrives.

        Raises:
            Terminated: it has arrived; any error that came after it, as where other ranks left first, becomes this.
        """
        self._raises = True
        try:
            if self.is_set():
                raise Terminated
            yield
        except Exception as error:
            if self.is_set():
                raise Terminated from error
            raise
        finally:
            self._raises = False


@contextmanager
def terminations() -> Iterator[Termination]:
    """Provide what SIGTERM sets while the block runs (in the main thread only)."""
    termination = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return
    before = signal.signal(signal.SIGTERM, termination.arrive)
    try:
        yield termination
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------- processes of torchrun or srun


def find_place(environment: Mapping[str, str]) -> Place | None:
    """Place that torchrun or srun gave this process; None if it was started alone.

    Raises:
        TrainingError: the variables contradict each other, or another program started several processes.
    """
    if "WORLD_SIZE" in environment or "RANK" in environment:
        return _place_of_torchrun(environment)
    if _number(environment, "SLURM_STEP_NUM_TASKS", 1) > 1:
        return _place_of_srun(environment)
    if _number(environment, "SLURM_PROCID", 0):
        raise TrainingError("SLURM_PROCID says that several tasks run, SLURM_STEP_NUM_TASKS is missing: use srun")
    for name in OF_MPI:
        if _number(environment, name, 1) > 1:
            raise TrainingError(f"{name} says that MPI started several processes: use torchrun or srun instead")
    return None


def _place_of_torchrun(environment: Mapping[str, str]) -> Place:
    if missing := [name for name in OF_TORCHRUN if name not in environment]:
        there = ", ".join(name for name in OF_TORCHRUN if name in environment)
        raise TrainingError(
            f"the environment has {there} but not {', '.join(missing)}: torchrun sets all of them; start the command "
            f"through torchrun, or unset {there} to train alone"
        )
    size, rank, local, of_node, port = (
        _number(environment, name)
        for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    )  # fmt: skip
    if not 0 <= local < of_node or not 0 <= rank < size or size % of_node:
        raise TrainingError(
            f"WORLD_SIZE {size}, LOCAL_WORLD_SIZE {of_node}, RANK {rank}, LOCAL_RANK {local}: expected the same number "
            "of processes on every machine, and ranks below these numbers; start the command through torchrun"
        )
    node = _number(environment, "GROUP_RANK", rank // of_node)
    return Place(rank, local, size, size // of_node, node, environment["MASTER_ADDR"], port)


def _place_of_srun(environment: Mapping[str, str]) -> Place:
    size, nodes = _number(environment, "SLURM_STEP_NUM_TASKS"), _number(environment, "SLURM_STEP_NUM_NODES", 1)
    if size % nodes or "," in environment.get("SLURM_STEP_TASKS_PER_NODE", ""):
        raise TrainingError(
            f"srun started {size} tasks on {nodes} machines, not the same number on each; give --ntasks-per-node"
        )
    job, step = _number(environment, "SLURM_JOB_ID", 0), _number(environment, "SLURM_STEP_ID", 0)
    names = environment.get("SLURM_STEP_NODELIST", "127.0.0.1")
    return Place(
        rank=_number(environment, "SLURM_PROCID"),
        local_rank=_number(environment, "SLURM_LOCALID"),
        size=size,
        nodes=nodes,
        node=_number(environment, "SLURM_NODEID"),
        address=environment.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(names),
        port=_number(environment, "MASTER_PORT", FIRST_PORT + (job + step) % PORTS),
    )


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    value = environment.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"\d+", value):
        raise TrainingError(f"{name}: expected a number from torchrun or srun, got {value!r}; unset it to train alone")
    return int(value)


class _Environment(ClusterEnvironment):
    """A process's place, as Fabric asks for it."""

    creates_processes_externally = True

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def main_address(self) -> str:
        return self._place.address

    @property
    def main_port(self) -> int:
        return self._place.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._place.size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self._place.local_rank

    def node_rank(self) -> int:
        return self._place.node


def _run(job: Callable[[Fabric], Result], devices: Devices, place: Place) -> Result:
    """Run the job in this process, as the one at this place."""
    gpu = _uses_gpu(devices)
    options: dict[str, Any] = {"accelerator": devices.accelerator, "plugins": [LightningEnvironment()]}
    if place.size > 1:
        own = torch.device("cuda", place.local_rank % torch.cuda.device_count()) if gpu else torch.device("cpu")
        options = {
            "num_nodes": place.nodes,
            "strategy": DDPStrategy(
                parallel_devices=[own] * (place.size // place.nodes),
                cluster_environment=_Environment(place),
                forward_sync_buffers=False,  # they are functions of weights and outputs that all ranks share
                gradient_as_bucket_view=True,
                static_graph=True,
            ),
        }
    if place.rank:
        logging.getLogger().setLevel(logging.WARNING)  # the first process logs for all
    fabric = Fabric(devices=1, precision=devices.precision or ("bf16-mixed" if gpu else "32-true"), **options)
    return fabric.launch(job)


def _uses_gpu(devices: Devices) -> bool:
    return devices.accelerator in ("gpu", "cuda") or (devices.accelerator == "auto" and torch.cuda.is_available())


# ---------------------------------------------------------------- processes of its own


def _start_processes(job: Callable[[Fabric], Result], devices: Devices, size: int) -> Result:
    """Start a process for each device, forward SIGTERM to all of them, and wait.

    Raises:
        SystemExit: SIGTERM came before the training began, so that there was nothing to save.
    """
    results = get_context("spawn").SimpleQueue()
    place = Place(size=size, port=find_free_network_port())
    arguments = (job, devices, place, results, logging.getLogger().level)
    with terminations() as stop:
        context = start_processes(_run_child, arguments, size, join=False)
        forwarded = False
        try:
            while not context.join(POLL_S, GRACE_S):
                if stop.is_set() and not forwarded:
                    forwarded = True
                    for process in context.processes:
                        process.terminate()
        except (ProcessExitedException, ProcessRaisedException) as error:
            found = None if results.empty() else results.get()
            if isinstance(found, SignRepError):
                raise found from None
            if stop.is_set():
                sys.exit(128 + signal.SIGTERM)
            raise TrainingError(
                f"process {error.error_index} of {size} died: {str(error).strip()}; run the same command again to "
                "continue; a kill by SIGKILL usually means that the memory was full"
            ) from error
        finally:
            for process in context.processes:
                process.kill()
                process.join()
    return results.get()


def _run_child(
    local_rank: int, job: Callable[[Fabric], Any], devices: Devices, place: Place, results: Any, level: int
) -> None:
    """Run the job in a child process; the parent gets the first one's result, or its error."""
    if sys.platform == "linux":  # a rank whose parent was killed saves its state and ends
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    logging.basicConfig(level=level, format="%(message)s")
    try:
        result = _run(job, devices, place._replace(rank=local_rank, local_rank=local_rank))
    except SignRepError as error:
        results.put(error)
        sys.exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the work is done
    if not local_rank:
        results.put(result)
