"""A transformer for tables: every feature is a token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from labkit.models.architectures.tabular_mlp import FeatureEmbedding
from labkit.models.attention import Block


def tabular_transformer(
    *,
    classes: int,
    edges: Sequence[Sequence[float]],
    sizes: Sequence[int],
    width: int = 32,
    heads: int = 4,
    blocks: int = 3,
    hidden: int = 64,
    dropout: float = 0.1,
) -> nn.Module:
    """See ``TabularTransformer``."""
    return TabularTransformer(classes, edges, sizes, width, heads, blocks, hidden, dropout)


class TabularTransformer(nn.Module):
    """Embeds the features, puts a learned token before them, lets all attend to all, and answers from the first.

    The feature-tokeniser transformer of Gorishniy, Rubachev, Khrulkov and Babenko, 2021, arXiv 2106.11959, over
    piecewise-linear encodings of the numbers. Token 0 is the one that answers, token i + 1 is feature i.

    Args:
        classes: how many outputs.
        edges: for each feature the rising ends of its intervals, in its own unit; empty for a category.
        sizes: for each feature the number of its categories; 0 for a number.
        width: length of a feature's vector, a multiple of ``heads``.
        heads, blocks, hidden: attention maps a block, blocks, and the width of their dense layers.
        dropout: in each block, while training.
    """

    def __init__(
        self,
        classes: int,
        edges: Sequence[Sequence[float]],
        sizes: Sequence[int],
        width: int,
        heads: int,
        blocks: int,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed = FeatureEmbedding(edges, sizes, width)
        self.answer = nn.Parameter(torch.randn(1, width) * 0.3)
        self.blocks = nn.Sequential(*(Block(width, heads, hidden, dropout) for _ in range(blocks)))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """(n, features) in the data's own units, categories as whole-number codes -> (n, classes) logits."""
        tokens = torch.cat([self.answer.expand(len(x), 1, -1), self.embed(x)], 1)
        return self.head(self.blocks(tokens)[:, 0])
