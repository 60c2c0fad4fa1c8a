"""Intervals and linear bounds of a model's logits over a ball of inputs.

Intervals: Gowal et al., 2018, arXiv 1810.12715. Linear bounds, propagated from the logits back to the input: Zhang et
al., 2018, arXiv 1811.00866; Xu et al., 2020, arXiv 2002.12920. Everything is computed in float64 for the function that
the weights define in exact arithmetic; what the model's own precision may add is taken off at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from labkit.certificates._graph import Graph, as_rows, graph
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier

Inner = Literal["interval", "crown"]
ROUNDING = 10  # times what the model's answer to the clean row misses the exact one by
NORMS = ("linf", "l2", "l1")


@dataclass(frozen=True)
class Ball:
    """The inputs within ``eps`` (n,) of the rows of ``x``, and within the bounds: ``low`` to ``high``."""

    x: Tensor
    eps: Tensor
    norm: str
    low: Tensor
    high: Tensor

    @classmethod
    def around(cls, x: Tensor, eps: Tensor, norm: str, bounds: tuple[float, float] | None) -> Ball:
        reach = eps.reshape(-1, *[1] * (x.ndim - 1))
        low, high = bounds or (-torch.inf, torch.inf)
        # A row on the edge of the bounds, or just beyond by rounding, stays in its own ball.
        return cls(x, eps, norm, torch.minimum((x - reach).clamp_min(low), x), torch.maximum((x + reach).clamp_max(high), x))  # fmt: skip

    def least(self, weight: Tensor, row: Tensor) -> Tensor:
        """(rows,) the least of (rows, *shape) ``weight`` times input in the balls of the rows that ``row`` names."""
        x, eps = self.x[row].flatten(1), self.eps[row]
        weight = weight.flatten(1)
        down, up = (v[row].flatten(1) for v in (self.low, self.high))
        room, gain = torch.where(weight > 0, x - down, up - x), weight.abs()
        most = {"linf": _box, "l1": _diamond, "l2": _sphere}[self.norm](gain, room, eps)
        return (weight * x).sum(1) - most


def _box(gain: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    return (gain * room).sum(1)


def _diamond(gain: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    """The entries that gain most are moved as far as they may be, until the budget is spent: exact."""
    gain, order = gain.sort(1, descending=True)
    room = room.gather(1, order)
    spent = room.cumsum(1) - room
    return (gain * torch.minimum(room, (eps[:, None] - spent).clamp_min(0))).sum(1)


def _sphere(gain: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    """At most: Lagrange's bound, sound at every multiplier, here at one near the best."""
    eps = eps.clamp_min(1e-9)
    multiplier = gain.norm(dim=1) / (2 * eps)
    for _ in range(8):  # entries that reach their room leave the rest of the budget to the others
        free = gain <= 2 * multiplier.clamp_min(1e-30)[:, None] * room
        left = (eps**2 - (room * ~free).square().sum(1)).clamp_min(0).sqrt().clamp_min(1e-12)
        multiplier = torch.minimum(multiplier, (gain * free).norm(dim=1) / (2 * left))
    multiplier = multiplier.clamp_min(1e-30)
    step = torch.minimum(gain / (2 * multiplier[:, None]), room)
    bound = (gain * step - multiplier[:, None] * step.square()).sum(1) + multiplier * eps**2
    return torch.minimum(bound, torch.minimum(gain.norm(dim=1) * eps, (gain * room).sum(1)))


@dataclass
class Bounds:
    """Bounds of every node of a graph over the balls of n rows.

    Args:
        inner: what bounds the values that relaxations need: intervals, or linear bounds of their own.
        batch_size: most rows (examples times outputs) in one backward pass.
    """

    graph: Graph
    ball: Ball
    inner: Inner
    batch_size: int
    low: list[Tensor] = field(default_factory=list)
    high: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines: dict[int, tuple[Tensor, ...]] = {}
        for at, node in enumerate(self.graph.nodes):
            if not at:
                low, high = self.ball.low, self.ball.high
            elif node.relaxation:
                (parent,) = node.parents
                low, high = node.relaxation.ends(self.low[parent], self.high[parent])
                self.lines[at] = node.relaxation.lines(self.low[parent], self.high[parent])
            else:
                assert node.size
                pairs = [(self.low[p], self.high[p]) for p in node.parents]
                middle = node.forward(*((a + b) / 2 for a, b in pairs))
                reach = node.size(*((b - a) / 2 for a, b in pairs))
                low, high = middle - reach, middle + reach
            self.low.append(low.contiguous())
            self.high.append(high.contiguous())
            if at in self.graph.relaxed and at:
                self._tighten(at)

    def _tighten(self, at: int) -> None:
        """Narrower intervals of a value that a relaxation is about to need."""
        if self.graph.straight[at] and (self.inner == "crown" or self.ball.norm != "linf"):
            middle = self.graph.value(self.ball.x, at)
            reach = self._reach(at) * self.ball.eps.reshape(-1, *[1] * (middle.ndim - 1))
            self.low[at], self.high[at] = self.low[at].maximum(middle - reach), self.high[at].minimum(middle + reach)
        elif not self.graph.straight[at] and self.inner == "crown":
            relaxation = self.graph.relaxed[at]
            assert relaxation
            entries = as_rows(relaxation.loose(self.low[at], self.high[at])).nonzero()
            # Row by row: what belongs to one row need not be repeated for each of its entries.
            for own in entries.split(entries[:, 0].bincount(minlength=len(self.ball.x)).tolist()):
                for part in own.split(max(1, self.batch_size // 2)) if len(own) else ():
                    self._narrow(at, part[:, 0], part[:, 1])

    def _narrow(self, at: int, row: Tensor, entry: Tensor) -> None:
        """Linear bounds of some entries of a node, one a row of ``row`` and ``entry``."""
        weight = torch.zeros(len(row), *self.graph.nodes[at].shape, dtype=torch.float64, device=row.device)
        as_rows(weight).scatter_(1, entry[:, None], 1.0)
        low, high = self.least(at, torch.cat([weight, -weight]), row.repeat(2)).chunk(2)
        for bound, value, closer in ((self.low[at], low, torch.maximum), (self.high[at], -high, torch.minimum)):
            flat = as_rows(bound)
            flat[row, entry] = closer(flat[row, entry], value)

    def _reach(self, at: int) -> Tensor:
        """(*shape) how far an entry that is affine in the input moves within a ball of radius 1: the dual norm of its
        weights, the same for every row. They are met one input entry after another."""
        key = at, self.ball.norm
        if key not in self.graph.reaches:
            zero = torch.zeros_like(self.ball.x[:1])
            constant = self.graph.value(zero, at)
            total = torch.zeros_like(constant[0])
            for part in torch.arange(zero.numel(), device=zero.device).split(self.batch_size):
                units = zero.repeat(len(part), *[1] * (zero.ndim - 1))
                units.flatten(1).scatter_(1, part[:, None], 1.0)
                found = (self.graph.value(units, at) - constant).abs()
                if self.ball.norm == "l1":
                    total = torch.maximum(found.amax(0), total)
                else:
                    total = total + (found if self.ball.norm == "linf" else found.square()).sum(0)
            self.graph.reaches[key] = total.sqrt() if self.ball.norm == "l2" else total
        return self.graph.reaches[key]

    def _back(self, at: int, weight: Tensor, row: Tensor, deep: bool = True) -> tuple[Tensor, dict[int, Tensor]]:
        """A lower bound of (rows, *shape) ``weight`` times a node's value: (rows,) a constant, and the weights of the
        input alone; unless ``deep``, of the first relaxed values that are met."""
        constant, weights, ends = weight.new_zeros(len(weight)), {at: weight}, {}
        at_once = slice(int(row[0]), int(row[0]) + 1) if bool((row == row[0]).all()) else row
        while weights:
            at = max(weights)
            weight, node = weights.pop(at), self.graph.nodes[at]
            if not at or (node.relaxation and not deep):
                ends[at] = weight
                continue
            parts: tuple[Tensor | None, ...]
            if node.relaxation:
                lines = self.lines[at]
                under, shift, above, raised = (v[at_once] for v in lines)
                constant = constant + as_rows(weight * torch.where(weight > 0, shift, raised)).sum(1)
                up = weight > 0
                if under.ndim > weight.ndim:
                    weight, up = weight[..., None], up[..., None]
                parts = (weight * torch.where(up, under, above),)
            else:
                more, parts = self.graph.pull(at, weight)
                constant = constant + more
            for parent, part in zip(node.parents, parts):
                if part is not None:
                    weights[parent] = weights[parent] + part if parent in weights else part
        return constant, ends

    def least(self, at: int, weight: Tensor, row: Tensor, deep: bool = True) -> Tensor:
        """(rows,) lower bounds of (rows, *shape) ``weight`` times a node's value in the balls of the rows that ``row``
        names: by linear bounds down to the input, or by the intervals of the last relaxed values."""
        total, ends = self._back(at, weight, row, deep)
        for end, part in ends.items():
            if end:
                low, high = self.low[end][row], self.high[end][row]
                total = total + as_rows(part.clamp_min(0) * low + part.clamp_max(0) * high).sum(1)
            else:
                total = total + self.ball.least(part, row)
        return total


def _chunks(n: int, size: int) -> Iterator[slice]:
    yield from (slice(start, start + size) for start in range(0, n, size))


def lead(model: Classifier, x: Tensor, y: Tensor, eps: Tensor, norm: str, batch_size: int, *, deep: bool,
         inner: Inner, asked: str) -> Tensor:  # fmt: skip
    """(n,) lower bounds of the true logit minus the best other one over the ball and the model's bounds.

    ``deep`` follows the margins back to the input; else intervals stand for the last relaxed values. Rows whose answer
    is not finite get minus infinity.

    Raises:
        Refused: a norm without a dual, a model that is no graph of known functions.
    """
    if norm not in NORMS:
        raise Refused(f"{asked} under {norm}", f"norm={norm!r}", f"one of: {', '.join(NORMS)}")
    model.require("continuous", by=asked, instead="a model of images, sound or series; exhaustive for small tables")
    made, exact = graph(model, x, asked)
    with torch.no_grad():
        logits, true = model(x).double(), exact(x.double())
        ball = Ball.around(x.double(), eps.double(), norm, model.bounds)
        bounds = Bounds(made, ball, inner, batch_size)
        classes = logits.shape[1]
        row, other = (true.scatter(1, y[:, None], torch.nan).isnan().logical_not()).nonzero().T
        weight = torch.zeros(len(row), classes, dtype=torch.float64, device=x.device)
        weight.scatter_(1, y[row][:, None], 1.0).scatter_(1, other[:, None], -1.0)
        found = [
            torch.stack([bounds.least(len(made.nodes) - 1, weight[part], row[part], d) for d in {False, deep}]).amax(0)
            for part in _chunks(len(row), batch_size)
        ]
        bound = torch.cat(found).reshape(len(x), classes - 1).amin(1)
        rounding = ROUNDING * (logits - true).abs().amax(1) + torch.finfo(model.dtype).eps * true.abs().amax(1)
        return torch.where(logits.isfinite().all(1) & bound.isfinite(), bound - rounding, -torch.inf).to(eps.dtype)
