"""A transformer for short texts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labkit.models.attention import Block
from labkit.models.texts import PADDING, places


def text_transformer(
    *,
    classes: int,
    words: int,
    longest: int,
    width: int = 64,
    heads: int = 4,
    blocks: int = 2,
    hidden: int = 128,
    word_noise: float = 0.3,
    dropout: float = 0.3,
) -> nn.Module:
    """See ``TextTransformer``."""
    return TextTransformer(classes, words, longest, width, heads, blocks, hidden, word_noise, dropout)


class TextTransformer(nn.Module):
    """Adds a vector for a word's place to its own, lets all words attend to all, and answers from the mean and maximum of
    what comes out and the mean of the words.

    Padding is left out wherever it stands, and a word's place is counted among the words: an answer depends neither on
    padding nor on the other texts of a batch. In the attention maps, (n, heads, to, from), place i is word i.

    Args:
        classes: how many outputs.
        words: size of the vocabulary, with padding as word 0.
        longest: most words of a text.
        width: length of a word's vector, a multiple of ``heads``.
        heads, blocks, hidden: attention maps a block, blocks, and the width of their dense layers.
        word_noise: dropout on the words' vectors, while training.
        dropout: in each block and before the last layer, while training.
    """

    def __init__(
        self,
        classes: int,
        words: int,
        longest: int,
        width: int,
        heads: int,
        blocks: int,
        hidden: int,
        word_noise: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PADDING)
        nn.init.normal_(self.embed.weight, std=0.1)  # a rare word starts near nothing, not as loud noise
        nn.init.zeros_(self.embed.weight[PADDING])
        self.place = nn.Parameter(torch.randn(longest, width) * 0.1)
        self.word_noise = nn.Dropout(word_noise)
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(3 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens) word numbers, at most ``longest`` of them words -> (n, classes) logits."""
        where = places(x)
        words = where.take(self.word_noise(self.embed(x)))
        states = words + self.place[: words.shape[1]]
        for block in self.blocks:
            states = block(states, where.inside)
        states = self.norm(states)
        pooled = [where.mean(states), where.most(states, -1e4) * (where.length > 0), where.mean(words)]
        return self.head(self.dropout(torch.cat(pooled, 1)))
