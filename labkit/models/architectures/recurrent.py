"""A recurrent network for short texts."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from labkit.models.texts import PADDING, places, take


def recurrent(
    *,
    cell: Literal["gru", "lstm"],
    classes: int,
    words: int,
    width: int = 64,
    hidden: int = 64,
    word_noise: float = 0.3,
    dropout: float = 0.5,
) -> nn.Module:
    """See ``Recurrent``."""
    return Recurrent(nn.LSTM if cell == "lstm" else nn.GRU, classes, words, width, hidden, word_noise, dropout)


class Recurrent(nn.Module):
    """Reads the words in both directions, and answers from the mean and maximum of its states and the mean of the words.

    Padding is left out wherever it stands: a text's answer depends neither on its length with padding nor on the other
    texts of its batch, and a word replaced by padding is a word deleted. The gated recurrent unit is that of Cho et
    al., 2014, arXiv 1406.1078; long short-term memory that of S. Hochreiter and J. Schmidhuber, 1997,
    doi 10.1162/neco.1997.9.8.1735, with forget gates.

    Args:
        cell: torch's recurrent module.
        classes: how many outputs.
        words: size of the vocabulary, with padding as word 0.
        width: length of a word's vector.
        hidden: state size of each direction.
        word_noise, dropout: dropout on the words' vectors and before the last layer, while training.
    """

    def __init__(
        self,
        cell: type[nn.GRU] | type[nn.LSTM],
        classes: int,
        words: int,
        width: int,
        hidden: int,
        word_noise: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PADDING)
        nn.init.normal_(self.embed.weight, std=0.1)  # a rare word starts near nothing, not as loud noise
        nn.init.zeros_(self.embed.weight[PADDING])
        self.word_noise = nn.Dropout(word_noise)
        self.onward = cell(width, hidden, batch_first=True)
        self.contrary = cell(width, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * hidden + width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens) word numbers -> (n, classes) logits."""
        where = places(x)
        words = where.take(self.word_noise(self.embed(x)))
        place = torch.arange(words.shape[1], device=x.device).expand(len(x), -1)
        mirrored = torch.where(where.inside, where.length - 1 - place, place)
        states = torch.cat([self.onward(words)[0], self.contrary(take(words, mirrored))[0]], 2)
        # Both directions' states are in their reading order: neither mean nor maximum asks for it. States lie in (-1, 1).
        pooled = [where.mean(states), where.most(states, -1.0), where.mean(words)]
        return self.head(self.dropout(torch.cat(pooled, 1)))
