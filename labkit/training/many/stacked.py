"""Dense nets of one architecture as one: batched products of matrices, without what a general vmap costs.

A small net's step is hardly arithmetic: it is the start of some hundred operations, and what vmap adds to each. The layers
here hold the weights of all models, take (models, n, ...) at once, and do in one operation what the architecture does in
several. What none of them can say is left to ``Members``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from labkit.core.cost import DONE
from labkit.models.architectures.tabular_mlp import FeatureEmbedding, TabularMLP
from labkit.models.normalize import Normalize
from labkit.models.work import flops

# What works on each value alone, and what needs no weights and is done once for all rows and models.
ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Identity)
FIXED: tuple[type[nn.Module], ...] = (nn.Flatten, nn.Identity, Normalize)
Named = list[tuple[str, nn.Module]]


class Stacked(nn.Module):
    """k dense nets. Called with what ``front`` made of (k, n, ...) inputs; as ``Members``, the models are the first axis."""

    def __init__(self, front: nn.Module, layers: Sequence[nn.Module], pattern: nn.Module, count: int) -> None:
        super().__init__()
        self.count, self.layers = count, nn.ModuleList(layers)
        self.forwards = self.backwards = 0
        self.each: float | None = None  # operations that an example takes forward
        self._front, self._pattern = [front], [pattern]  # in lists: their weights are not trained

    def front(self, x: Tensor) -> tuple[Tensor, ...]:
        """What of (n, ...) inputs depends on no weight, with n the first axis of each part."""
        self.each = flops(self._pattern[0], x)
        with torch.no_grad():
            ready = self._front[0](x)
        first = self.layers[0]
        return first.front(ready) if isinstance(first, _Embedded) else (ready.flatten(1),)

    def forward(self, *parts: Tensor) -> Tensor:
        """(k, n, classes) logits."""
        rows = parts[0].shape[0] * parts[0].shape[1]
        self.forwards += rows
        values = self.layers[0](*parts)
        for layer in self.layers[1:]:
            values = layer(values)
        learning = values.requires_grad
        self.backwards += rows * learning
        DONE.add(rows, rows * learning, self.each)
        return values

    def state(self, member: int) -> dict[str, Tensor]:
        """The state of one model, as its own module names it."""
        own = {k: v for layer in self.layers for k, v in getattr(layer, "state", lambda _: {})(member).items()}
        return {**self._pattern[0].state_dict(), **own}

    def axes(self, parameter: Tensor) -> int:
        """How many axes a parameter has in one model."""
        return parameter.ndim - 1


def stacked(modules: Sequence[nn.Module]) -> Stacked | None:
    """The modules as one, or None where they hold anything but dense layers of full precision, all to be trained."""
    every = [_sequence(m) for m in modules]
    if any(e is None for e in every) or not all(p.requires_grad for p in modules[0].parameters()):
        return None
    rows = [list(same) for same in zip(*(e or [] for e in every))]
    lead = next((i for i, row in enumerate(rows) if not _fixed(row)), len(rows))
    layers: list[nn.Module] = []
    order: Tensor | None = None
    for row in rows[lead:]:
        name, parts = row[0][0], [part for _, part in row]
        match parts[0]:
            case FeatureEmbedding() if not layers:
                embedded = _Embedded(name, parts)
                layers.append(embedded)
                order = embedded.order
            case nn.Flatten(start_dim=1, end_dim=-1):
                pass  # what comes here is flat
            case nn.Linear():
                layers.append(_Linear(name, parts, order))
                order = None
            case nn.Dropout():
                layers.append(Dropout(parts[0].p))
            case part if isinstance(part, ELEMENTWISE) and order is None:
                layers.append(copy.deepcopy(part))
            case _:
                return None
    if not layers or not isinstance(layers[0], _Embedded | _Linear) or order is not None:
        return None
    front = nn.Sequential(*(copy.deepcopy(row[0][1]) for row in rows[:lead]))
    return Stacked(front, layers, copy.deepcopy(modules[0]), len(modules))


def _sequence(module: nn.Module, name: str = "") -> Named | None:
    """The layers in the order in which they work, by their names; None for a module that is no sequence of layers."""
    if type(module) is nn.Sequential or type(module) is TabularMLP:
        parts = [_sequence(part, f"{name}{child}.") for child, part in module.named_children()]
        return None if any(p is None for p in parts) else [layer for p in parts for layer in p or []]
    hooked = module._forward_hooks or module._forward_pre_hooks
    return None if hooked or any(p.dtype != torch.float32 for p in module.parameters()) else [(name, module)]


def _fixed(row: list[tuple[str, nn.Module]]) -> bool:
    """Whether a layer needs no weights and is the same in all models."""
    first, *others = [part for _, part in row]
    if type(first) is nn.Flatten and (first.start_dim, first.end_dim) != (1, -1):
        return False
    known = isinstance(first, FIXED) or getattr(first, "fixed", False)
    buffers = list(first.buffers())
    return known and all(torch.equal(a, b) for other in others for a, b in zip(buffers, other.buffers()))


class _Linear(nn.Module):
    """Weights lie as (models, in, out): gradients then need no transposition. ``order``: in which the inputs come."""

    def __init__(self, name: str, parts: Sequence[Any], order: Tensor | None) -> None:
        super().__init__()
        self.name, self.order = name, order
        weight = torch.stack([p.weight.detach().T for p in parts])
        self.weight = nn.Parameter((weight if order is None else weight[:, order]).contiguous())
        self.bias = None if parts[0].bias is None else nn.Parameter(torch.stack([p.bias.detach() for p in parts]))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight if self.bias is None else torch.baddbmm(self.bias[:, None], x, self.weight)

    def state(self, member: int) -> dict[str, Tensor]:
        weight = self.weight.detach()[member]
        if self.order is not None:
            weight = torch.empty_like(weight).index_copy_(0, self.order, weight)
        bias = {} if self.bias is None else {f"{self.name}bias": self.bias.detach()[member]}
        return {f"{self.name}weight": weight.T, **bias}


class _Embedded(nn.Module):
    """FeatureEmbedding of all models: every vector is one row of a table, a number's lies between two of them.

    A broken line is known by its values at the edges. Where a number lies between them needs no weights; so a row of the
    data is a few positions in the table, and shares. Categories come first, then numbers: ``order`` says where the
    architecture has each value of what comes out.
    """

    def __init__(self, name: str, parts: Sequence[FeatureEmbedding]) -> None:
        super().__init__()
        first = parts[0]
        self.name, self.numbers, self.pieces = name, first.numbers, first.pieces
        self.categories = [int(i) for i in first.tables]
        self.sizes = [t.num_embeddings for t in _tables(first)]
        self.width = first.offset.shape[1]
        tables = [torch.cat([*(t.weight for t in _tables(p)), p.offset[:0]]) for p in parts]
        self.tables = nn.Parameter(torch.stack(tables).detach())
        self.slope = nn.Parameter(torch.stack([p.slope for p in parts]).detach().clone())
        self.offset = nn.Parameter(torch.stack([p.offset for p in parts]).detach().clone())
        self._pattern = [copy.deepcopy(first)]
        place = torch.tensor(self.categories + self.numbers)[:, None] * self.width + torch.arange(self.width)
        self.order = place.flatten().to(self.offset.device)

    def front(self, x: Tensor) -> tuple[Tensor, ...]:
        """(n, ...) inputs -> (n, categories + 2 numbers) rows of the table, (n, numbers) shares of the way between two."""
        first = self._pattern[0]
        share = ((x[:, first.feature] - first.low) / (first.high - first.low)).clamp(0, 1).split(self.pieces, 1)
        at, code = 0, []
        for i, size in zip(self.categories, self.sizes):
            code.append(x[:, i].long() + at)
            at += size
        low, high, between = [], [], []
        for part, pieces in zip(share, self.pieces):
            piece = ((part > 0).sum(1) - 1).clamp_min(0)
            inside = part.gather(1, piece[:, None])[:, 0] if pieces else x.new_zeros(len(x))
            low.append(piece + at)
            high.append((piece + 1).clamp_max(pieces) + at)
            between.append(inside)
            at += pieces + 1
        return torch.stack(code + low + high, 1), torch.stack(between, 1) if between else x[:, :0]

    def forward(self, rows: Tensor, between: Tensor) -> Tensor:
        models, n, _ = rows.shape
        knots: list[Tensor] = [self.tables]
        for i, slope in enumerate(self.slope.split(self.pieces, 1)):
            start = self.offset[:, i : i + 1]
            knots += [start, start + slope.cumsum(1)]
        table = torch.cat(knots, 1)
        first = torch.arange(models, device=rows.device) * table.shape[1]
        places = (rows + first[:, None, None]).flatten()
        vectors = table.flatten(0, 1).index_select(0, places).view(models, n, -1, self.width)
        c, k = len(self.categories), len(self.numbers)
        code, low, high = vectors.split([c, k, k], 2)
        return torch.cat([code, torch.lerp(low, high, between[..., None])], 2).flatten(2)

    def state(self, member: int) -> dict[str, Tensor]:
        tables = self.tables.detach()[member].split(self.sizes) if self.sizes else ()
        named = {f"{self.name}tables.{i}.weight": t for i, t in zip(self.categories, tables)}
        lines = {"slope": self.slope, "offset": self.offset}
        return named | {f"{self.name}{k}": v.detach()[member] for k, v in lines.items()}


def _tables(embedding: FeatureEmbedding) -> list[nn.Embedding]:
    return [part for part in embedding.tables.values() if isinstance(part, nn.Embedding)]


class _Drop(torch.autograd.Function):
    """(x, p) -> x with about a share p of its values zero and the others divided by 1 - p.

    A byte or two a value, so that one draw of 64 bits serves eight or four: torch's own draws, one a value, take as long
    as the products of matrices.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        kind, width = (torch.uint8, 1) if (256 * p).is_integer() else (torch.int16, 2)
        draws = torch.empty((x.numel() * width + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        values = draws.view(kind)[: x.numel()].view(x.shape)
        least = 256 * p if width == 1 else round(2**16 * p) - 2**15
        mask = torch.ge(values, int(least), out=torch.empty_like(x)).mul_(1 / (1 - p))
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.saved_tensors[0], None


class Dropout(nn.Dropout):
    """As nn.Dropout, with the share rounded to a 65,536th."""

    def forward(self, x: Tensor) -> Tensor:
        quick = self.training and 0 < self.p < 1 and x.device.type == "cpu"
        return _Drop.apply(x.contiguous(), self.p) if quick else super().forward(x)
