"""The benchmark of a GPU: its parts in the order in which they are measured."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from signrep_core.bench.figures import Figure
from signrep_core.bench.pose import measure_served_pose
from signrep_core.bench.step import measure_step
from signrep_core.bench.workload import Workload


def gpu_parts(work: Workload) -> Mapping[str, Callable[[], Iterable[Figure]]]:
    """Name → function that yields the figures of a part."""
    return {"step": partial(measure_step, work), "pose": partial(measure_served_pose, work)}
