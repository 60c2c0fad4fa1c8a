"""What is learned once, from the background alone: never from the rows attacked, so that every batch meets the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from labkit.attacks._search import CLEAR, climb, column, direction, drawn, margin
from labkit.core.draws import Draws
from labkit.core.record import array_digest
from labkit.models.classifier import Classifier

T = TypeVar("T")
Put = Callable[[Tensor, Tensor, Draws], Tensor]

# How many rows a gradient is the sum over, whatever the batch size; passes hold no more rows than that allows.
TOGETHER = 32
_KEPT: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], object]] = WeakKeyDictionary()


def once(model: Classifier, background: Tensor, key: tuple[object, ...], learn: Callable[[], T]) -> T:
    """``learn()``, or what it gave before for this module as it stands, this background and this key."""
    kept = _KEPT.setdefault(model.module, {})
    name = (model.digest, array_digest(background.cpu().numpy()), *key)
    if name not in kept:
        kept[name] = learn()
    return kept[name]  # type: ignore[return-value]


def some(background: Tensor, most: int) -> Tensor:
    """At most that many rows, evenly spaced: a background may be sorted by class."""
    return background[torch.linspace(0, len(background) - 1, min(most, len(background))).long().to(background.device)]


def asked(model: Classifier, x: Tensor, batch_size: int) -> Tensor:
    """(n, classes) logits, without gradients."""
    with torch.no_grad():
        return torch.cat([model(part).float() for part in x.split(min(batch_size, TOGETHER))])


def steady(gradient: Tensor, norm: str) -> Tensor:
    """Steps of length one along the gradients of rows, without the jumps of a sign: rounding errors stay that small."""
    if norm != "linf":
        return direction(gradient, norm)
    return (gradient / column(gradient.flatten(1).abs().mean(1).clamp_min(1e-30), gradient)).clamp(-1, 1)


def common(
    model: Classifier,
    background: Tensor,
    start: Tensor,
    put: Put,
    keep: Callable[[Tensor], Tensor],
    reach: float,
    norm: str,
    steps: int,
    batch_size: int,
) -> Tensor:
    """One value that, put into any row, changes the model's own answers to as many rows of the background as can be.

    ``put(rows, value, draws)`` must be differentiable in the value; the bounds are applied to what it gives, outside the
    graph. Every step takes other rows, the same for every model. The mean margin of the rows that still stand is climbed, each in units of its largest logit, so that a broken
    row pulls no more and a confident one as much as any. Steps shrink linearly from a tenth of ``reach``.
    """
    y = asked(model, background, batch_size).argmax(1)
    value, memory = start, torch.zeros_like(start)
    for step in range(steps):
        total, draws = torch.zeros_like(start), Draws(step, TOGETHER)
        picked = drawn(draws.integers(len(background)), background)
        for at in torch.arange(TOGETHER).split(batch_size):
            part, value = picked[at.to(picked.device)], value.detach().requires_grad_()
            points = put(background[part], value, draws[at.numpy()].spawn(1))
            z = points.detach()
            z = (z if model.bounds is None else z.clamp(*model.bounds)).requires_grad_()
            upwards = climb(_standing(model(z).float(), y[part]), z)
            total += torch.autograd.grad(points, value, upwards)[0]
        memory = 0.9 * memory + total
        value = keep(value.detach() + 0.1 * (1 - step / steps) * reach * steady(memory[None], norm)[0])
    return value


def _standing(logits: Tensor, y: Tensor) -> Tensor:
    """The sum of the margins of the rows that still stand, in units of each row's largest logit."""
    lead, size = margin(logits, y), logits.detach().abs().amax(1)
    rows = lead.isfinite() & (lead <= CLEAR * size) & (size > 0)
    return (lead[rows] / size[rows]).sum()
