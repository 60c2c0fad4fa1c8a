"""Self-attention written out, each step a module of its own, so that hooks can read the attention maps."""

from __future__ import annotations

import math

from torch import Tensor, nn


class Block(nn.Module):
    """x plus attention over x, then plus two dense layers with GELU: (n, tokens, width) -> the same shape.

    A transformer's encoder layer (Vaswani et al., 2017, arXiv 1706.03762) that normalises before each part (Xiong et
    al., 2020, arXiv 2002.04745).

    Args:
        width: length of a token's vector, a multiple of ``heads``.
        heads: how many attention maps.
        hidden: width between the two dense layers.
        dropout: after the attention maps and between the dense layers, while training.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.dense = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """(n, tokens, width); ``real`` is (n, tokens), false for tokens that stand for nothing and get no attention."""
        x = x + self.attention(self.norm1(x), real)
        return x + self.dense(self.norm2(x))


class Attention(nn.Module):
    """Scaled dot-product attention of all tokens to all tokens; ``softmax`` gives the (n, heads, to, from) maps."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.softmax = nn.Softmax(dim=-1)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """See ``Block.forward``."""
        query, key, value = (
            f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        if real is not None:
            scores = scores.masked_fill(~real[:, None, None, :], -1e9)
        return self.out((self.dropout(self.softmax(scores)) @ value).transpose(1, 2).flatten(2))
