"""Several models of one architecture as one module: they answer, and learn, at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from labkit.core.cost import DONE
from labkit.models.work import flops
from labkit.training.hardware import autocast


class Members(nn.Module):
    """k copies of one architecture, each with its own weights.

    Every tensor that goes in or comes out has the copies as its first axis. Two copies or more hold their weights
    stacked, and one vectorised call answers for all (torch.func); one copy is called as it is.

    Args:
        modules: the copies.
        low_precision: answer in bfloat16 while training, where the device computes it natively.
        compiled: compile the single copy.

    Attributes:
        forwards, backwards: how many examples went through so far, over all copies. An adversary's passes count.
        each: operations that the last example took forward, where they can be counted.
    """

    def __init__(self, modules: Sequence[nn.Module], *, low_precision: bool = False, compiled: bool = False) -> None:
        super().__init__()
        self.count = len(modules)
        self.low_precision = low_precision
        self.forwards = self.backwards = 0
        self.each: float | None = None
        # What is called lies in a list: as an attribute it would be a second submodule with the same weights.
        if self.count == 1:
            self.only = modules[0]
            self._called: list[Any] = [torch.compile(self.only) if compiled else self.only]
            return
        self._called = [copy.deepcopy(modules[0])]
        weights, buffers = stack_module_state(list(modules))
        self.names = list(weights), list(buffers)
        self.weights = nn.ParameterList(
            nn.Parameter(v.detach().clone(), requires_grad=v.requires_grad) for v in weights.values()
        )
        for i, value in enumerate(buffers.values()):
            self.register_buffer(f"buffer{i}", value.detach().clone())

    def forward(self, *inputs: Tensor) -> Any:
        """What the architecture returns for (k, n, ...) inputs, with the k first, in float32."""
        rows = inputs[0].shape[0] * inputs[0].shape[1]
        self.forwards += rows
        module = self.only if self.count == 1 else self._called[0]
        self.each = flops(module, inputs[0][0])
        DONE.add(rows, 0, self.each)
        with autocast(inputs[0].device, self.low_precision and self.training):
            output = self._answer(*inputs)
        output = tuple(v.float() for v in output) if isinstance(output, tuple) else output.float()
        first = output[0] if isinstance(output, tuple) else output
        if first.requires_grad:
            first.register_hook(self._counted)
        return output

    def _answer(self, *inputs: Tensor) -> Any:
        if self.count == 1:
            output = self._called[0](*(v[0] for v in inputs))
            return tuple(v[None] for v in output) if isinstance(output, tuple) else output[None]
        pattern = self._called[0].train(self.training)

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], *own: Tensor) -> Any:
            return functional_call(pattern, (weights, buffers), own)

        weights = dict(zip(self.names[0], self.weights))
        return torch.vmap(one, randomness="different")(weights, self._buffers_by_name(), *inputs)

    def _counted(self, gradient: Tensor) -> None:
        rows = gradient.shape[0] * gradient.shape[1]
        self.backwards += rows
        DONE.add(0, rows, self.each)

    def _buffers_by_name(self) -> dict[str, Tensor]:
        return {name: getattr(self, f"buffer{i}") for i, name in enumerate(self.names[1])}

    def state(self, member: int) -> dict[str, Tensor]:
        """The state of one copy, as its own module names it."""
        if self.count == 1:
            return self.only.state_dict()
        every = {**dict(zip(self.names[0], self.weights)), **self._buffers_by_name()}
        return {k: every[k].detach()[member] for k in self._called[0].state_dict()}  # without what is not to be kept

    def axes(self, parameter: Tensor) -> int:
        """How many axes a parameter has in one copy."""
        return parameter.ndim - (self.count > 1)
