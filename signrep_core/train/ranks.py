"""Collective operations of the processes that train together, the ranks; without others they return their argument.

Fabric's own wait at a barrier before each operation, which none of these needs.
"""

import functools
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.distributed import ProcessGroup


def sum_ranks(fabric: Fabric, *numbers: float) -> list[float]:
    """Sum each number over the ranks; those of one machine do not wait for their devices."""
    if fabric.world_size == 1:
        return list(numbers)
    group = _group_of_machine(fabric)
    total = torch.tensor(numbers, dtype=torch.float64, device=fabric.device if group is None else "cpu")
    torch.distributed.all_reduce(total, group=group)
    return total.tolist()


def mean_over_ranks(fabric: Fabric, values: Tensor) -> Tensor:
    """Mean of a tensor over the ranks, value by value."""
    if fabric.world_size == 1:
        return values
    values = values.clone()
    torch.distributed.all_reduce(values)
    return values / fabric.world_size


def gather_ranks(fabric: Fabric, rows: Tensor, sync_grads: bool = False) -> Tensor:
    """Rows of all ranks, in the order of the ranks."""
    if fabric.world_size == 1:
        return rows
    return cast(Tensor, fabric.all_gather(rows, sync_grads=sync_grads)).flatten(0, 1)


def gather_objects(fabric: Fabric, own: Any) -> list[Any]:
    """The object of each rank, in the order of the ranks."""
    if fabric.world_size == 1:
        return [own]
    found: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(found, own, group=_group_of_machine(fabric))
    return found


@functools.cache
def _group_of_machine(fabric: Fabric) -> ProcessGroup | None:
    """Group for what is in the CPU's memory; None on several machines, which may have no network for it."""
    if cast(Any, fabric.strategy).num_nodes > 1:
        return None
    return cast(ProcessGroup, torch.distributed.new_group(backend="gloo"))
