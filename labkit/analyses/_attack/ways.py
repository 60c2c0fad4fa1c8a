"""Ways to ask a model for gradients when its own lead nowhere. What it answers stays what it answers.

A way takes the model's answers as a function and the inputs, and gives logits whose gradient is another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from labkit.models.classifier import Classifier

Answer = Callable[[Tensor], Tensor]
Way = Callable[[Answer, Tensor, int], Tensor]


def as_it_is(answer: Answer, x: Tensor, call: int) -> Tensor:
    """The model's own gradient."""
    return answer(x)


def rescaled(scale: float) -> Way:
    """Logits divided by their typical lead: brings back a loss that saturates."""
    return lambda answer, x, call: answer(x) / scale


def straight_through(answer: Answer, x: Tensor, call: int) -> Tensor:
    """Rounding, signs and casts to whole numbers pass the gradient on as if they were not there.

    Backward pass differentiable approximation: Athalye, Carlini and Wagner, 2018, arXiv 1802.00420.
    """
    with _StraightThrough():
        return answer(x)


def differences(distance: float, directions: int, batch_size: int, seed: int) -> Way:
    """A gradient from answers alone: how they differ on both sides of the input, along orthogonal directions.

    Ripples shorter than ``distance`` (a value, on average) leave no trace, and no derivative of the model is needed. Each
    call has directions of its own, the same for every row, so that a row's gradient does not depend on its company. With
    as many directions as values the slope is whole; natural evolution strategies: Wierstra et al., 2014; for attacks:
    Ilyas et al., 2018, arXiv 1804.08598.
    """

    def way(answer: Answer, x: Tensor, call: int) -> Tensor:
        with torch.no_grad():
            value = answer(x.detach())
        if not (torch.is_grad_enabled() and x.requires_grad):
            return value
        size = x[0].numel()
        draw = torch.Generator().manual_seed(1_000_003 * seed + call)
        basis = torch.linalg.qr(torch.randn(size, min(directions, size), generator=draw)).Q.T.to(x)
        step = distance * size**0.5
        moves = torch.cat([step * basis, -step * basis]).reshape(-1, 1, *x.shape[1:])
        with torch.no_grad():
            parts = moves.split(max(1, batch_size // len(x)))
            answers = torch.cat([answer((x + moved).flatten(0, 1)) for moved in parts]).unflatten(0, (-1, len(x)))
        ahead, behind = answers.chunk(2)
        along = (x - x.detach()).flatten(1) @ basis.T
        return value + torch.einsum("knc,nk->nc", (ahead - behind) / (2 * step), along)

    return way


class Averaged(nn.Module):
    """A model that answers at random, as the log of its mean probability over ``asks`` answers.

    Gradients are means too: the expectation over transformations of Athalye et al., 2018, arXiv 1707.07397. Every call
    draws afresh, from numbers that follow from the seed; the global generator is left alone. Rows are asked about several
    times in one pass, but not all the times: a model may draw once for a whole batch. No pass has more than ``most`` rows.
    """

    def __init__(self, model: Classifier, asks: int, seed: int, most: int = 256, passes: int = 4) -> None:
        super().__init__()
        self.inner, self.model, self.asks, self.least, self.most = model.module, model, asks, passes, most
        self.seed, self.calls = seed, 0

    def forward(self, x: Tensor) -> Tensor:
        total: Any = 0.0
        room = max(1, min(self.asks // self.least, self.most // len(x)))
        copies = next(c for c in range(room, 0, -1) if self.asks % c == 0)
        passes = self.asks // copies
        for _ in range(passes):
            self.calls += 1
            with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
                torch.manual_seed(1_000_003 * self.seed + self.calls)
                asked = self.model(x.repeat(copies, *[1] * (x.ndim - 1))).float().softmax(1)
            total = total + asked.unflatten(0, (copies, len(x))).mean(0)
        return (total / passes).clamp_min(1e-12).log()


_STEPS = {
    torch.round: torch.round,
    torch.floor: torch.floor,
    torch.ceil: torch.ceil,
    torch.trunc: torch.trunc,
    torch.fix: torch.trunc,
    torch.sign: torch.sign,
    Tensor.round: torch.round,
    Tensor.floor: torch.floor,
    Tensor.ceil: torch.ceil,
    Tensor.trunc: torch.trunc,
    Tensor.sign: torch.sign,
}
_IN_PLACE = {
    Tensor.round_: torch.round,
    Tensor.floor_: torch.floor,
    Tensor.ceil_: torch.ceil,
    Tensor.trunc_: torch.trunc,
    Tensor.sign_: torch.sign,
    torch.round_: torch.round,
    torch.floor_: torch.floor,
    torch.ceil_: torch.ceil,
    torch.trunc_: torch.trunc,
}
_CASTS = {Tensor.int, Tensor.long, Tensor.short, Tensor.byte, Tensor.char, Tensor.to, Tensor.type}


class _StraightThrough(TorchFunctionMode):
    """Inside, functions that are flat between their steps hand gradients through."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        x = args[0] if args else None
        if not isinstance(x, Tensor) or not x.requires_grad:
            return function(*args, **kwargs)
        if function in _STEPS:
            return x + (_STEPS[function](x, *args[1:], **kwargs) - x).detach()
        if function in _IN_PLACE:
            return x.copy_(x + (_IN_PLACE[function](x, *args[1:], **kwargs) - x).detach())
        found = function(*args, **kwargs)
        if function in _CASTS and isinstance(found, Tensor) and not found.is_floating_point():
            return x + (found.to(x.dtype) - x).detach()
        return found
