"""Training on several devices or machines: torchrun starts one process each, DistributedDataParallel adds them up.

``torchrun --nproc-per-node 2 -m labkit train fashion_cnn`` is all it takes. Each process works on its share of every
batch; the batch is the recipe's, so that the result is that of one process but for rounding, and for normalisation over
a batch on CPUs, which sees a share only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from labkit.core.refused import Refused


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Within this context, one of the processes that torchrun started; nothing changes without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        dist.barrier()
    finally:
        dist.destroy_process_group()


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def own_device(device: torch.device) -> torch.device:
    """This process's own device among the machine's."""
    if device.type == "cuda" and world() > 1:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


def even(batch: int) -> int:
    """The batch size, when every process can have an equal share of it."""
    if batch % world():
        given = f"a batch of {batch} for {world()} processes"
        raise Refused("training on several processes", given, "a number of processes that divides the batch")
    return batch


def share(rows: Tensor) -> Tensor:
    """(models, n, ...) -> every so-manieth example of a batch: this process's part."""
    return rows if world() == 1 else rows[:, rank() :: world()]


def synchronised(module: nn.Module) -> Any:
    """The module, with its gradients averaged over all processes at each backward pass."""
    if world() == 1:
        return module
    if next(module.parameters()).device.type == "cuda":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    return DistributedDataParallel(module)


def mean(values: Tensor) -> Tensor:
    """The mean over all processes."""
    if world() > 1:
        dist.all_reduce(values)
        values = values / world()
    return values


def agreed(values: Tensor) -> Tensor:
    """The first process's values in all: what is decided by them is decided alike. Running statistics of a batch may
    differ in their last step."""
    if world() > 1:
        dist.broadcast(values, 0)
    return values
