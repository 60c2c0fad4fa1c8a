"""How many models, and how many rows, fit into a stated memory at once."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

EVALUATION = 1024  # rows answered at once at most
# A larger stack leaves a CPU's caches: measured on two cores, dense nets gain nothing more and convolutions lose.
NEAR = 2**26
FEW = 4  # and fewer models than that are faster one after another


def models_at_once(pattern: nn.Module, x: Tensor, batch: int, memory: int, *, learning: bool = False) -> int:
    """How many models of this kind can stand in so many bytes, each with a batch; one at least.

    A model that learns also keeps its gradients and two moments, and of a batch the gradients of all values.
    On a CPU they take at most 64 MiB, and are four or more.
    """
    memory = min(memory, NEAR) if x.device.type == "cpu" else memory
    weights = 4 * sum(v.numel() for v in pattern.state_dict().values())
    values = min(batch, len(x)) * _bytes_a_row(pattern, x)
    found = memory // max(1, weights * (4 if learning else 1) + values * (2 if learning else 1))
    return max(1, found) if x.device.type != "cpu" or found >= FEW else 1


def rows_at_once(pattern: nn.Module, x: Tensor, models: int, memory: int) -> int:
    """How many rows so many models can answer at once in so many bytes, from 1 to ``EVALUATION``."""
    return max(1, min(EVALUATION, memory // max(1, models * _bytes_a_row(pattern, x))))


def _bytes_a_row(pattern: nn.Module, x: Tensor) -> int:
    """What the layers give out for one row, added up."""
    probe = copy.deepcopy(pattern).eval()
    sizes = [x[:1].numel()]

    def counted(_: nn.Module, __: Any, output: Any) -> None:
        sizes.append(output.numel() if isinstance(output, Tensor) else 0)

    for module in probe.modules():
        if not any(module.children()):
            module.register_forward_hook(counted)
    with torch.no_grad():
        probe(x[:1])
    return 4 * sum(sizes)
