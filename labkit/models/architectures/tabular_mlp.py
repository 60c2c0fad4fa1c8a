"""A network for tables: every feature embedded on its own, then dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def tabular_mlp(
    *,
    classes: int,
    edges: Sequence[Sequence[float]],
    sizes: Sequence[int],
    width: int = 8,
    hidden: Sequence[int] = (128, 64),
    dropout: float = 0.1,
) -> nn.Module:
    """See ``TabularMLP``."""
    return TabularMLP(classes, edges, sizes, width, hidden, dropout)


class TabularMLP(nn.Module):
    """Embeds the features, joins their vectors and applies dense layers with ReLU.

    Args:
        classes: how many outputs.
        edges: for each feature the rising ends of its intervals, in its own unit; empty for a category.
        sizes: for each feature the number of its categories; 0 for a number.
        width: length of a feature's vector.
        hidden: widths of the dense layers.
        dropout: after each of them, while training.
    """

    def __init__(
        self,
        classes: int,
        edges: Sequence[Sequence[float]],
        sizes: Sequence[int],
        width: int,
        hidden: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed = FeatureEmbedding(edges, sizes, width)
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip((len(sizes) * width, *hidden), hidden):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        """(n, features) in the data's own units, categories as whole-number codes -> (n, classes) logits."""
        return self.layers(self.embed(x))


class FeatureEmbedding(nn.Module):
    """(n, features) -> (n, features, width): a learned table for each category, a learned broken line for each number.

    A number's vector is linear between the edges of its intervals and constant beyond the outermost: piecewise linear
    encoding (Gorishniy, Rubachev and Babenko, 2022, arXiv 2203.05556), normalised by the edges as buffers.
    """

    low: Tensor
    high: Tensor
    feature: Tensor

    def __init__(self, edges: Sequence[Sequence[float]], sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.numbers = [i for i, size in enumerate(sizes) if not size]
        self.tables = nn.ModuleDict({str(i): nn.Embedding(size, width) for i, size in enumerate(sizes) if size})
        self.pieces = [len(edges[i]) - 1 for i in self.numbers]
        pieces = [(i, a, b) for i in self.numbers for a, b in pairwise(edges[i])]
        self.register_buffer("feature", torch.tensor([i for i, _, _ in pieces], dtype=torch.int64))
        self.register_buffer("low", torch.tensor([a for _, a, _ in pieces], dtype=torch.float32))
        self.register_buffer("high", torch.tensor([b for _, _, b in pieces], dtype=torch.float32))
        self.slope = nn.Parameter(torch.randn(len(pieces), width) * 0.3)
        self.offset = nn.Parameter(torch.randn(len(self.numbers), width) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        share = ((x[:, self.feature] - self.low) / (self.high - self.low)).clamp(0, 1)
        spans = zip(self.numbers, share.split(self.pieces, 1), self.slope.split(self.pieces), self.offset)
        lines = {i: inside @ slope + offset for i, inside, slope, offset in spans}
        parts = [lines[i] if i in lines else self.tables[str(i)](x[:, i].long()) for i in range(x.shape[1])]
        return torch.stack(parts, 1)
