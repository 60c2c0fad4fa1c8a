"""A recurrent network for short texts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING = 0


def gru(
    *, classes: int, words: int, width: int = 64, hidden: int = 64, word_noise: float = 0.3, dropout: float = 0.5
) -> nn.Module:
    """See ``GRU``."""
    return GRU(classes, words, width, hidden, word_noise, dropout)


class GRU(nn.Module):
    """Reads the words in both directions, and answers from the mean and maximum of its states and the mean of the words.

    Padding is left out wherever it stands: a text's answer depends neither on its length with padding nor on the other
    texts of its batch, and a word replaced by padding is a word deleted. The gated recurrent unit is that of Cho et
    al., 2014, arXiv 1406.1078.

    Args:
        classes: how many outputs.
        words: size of the vocabulary, with padding as word 0.
        width: length of a word's vector.
        hidden: state size of each direction.
        word_noise, dropout: dropout on the words' vectors and before the last layer, while training.
    """

    def __init__(self, classes: int, words: int, width: int, hidden: int, word_noise: float, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PADDING)
        nn.init.normal_(self.embed.weight, std=0.1)  # a rare word starts near nothing, not as loud noise
        nn.init.zeros_(self.embed.weight[PADDING])
        self.word_noise = nn.Dropout(word_noise)
        self.onward = nn.GRU(width, hidden, batch_first=True)
        self.contrary = nn.GRU(width, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * hidden + width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens) word numbers -> (n, classes) logits."""
        real = x != PADDING
        length = real.sum(1, keepdim=True)
        longest = max(1, int(length.max()))
        in_order = torch.argsort(real.logical_not().to(torch.uint8), dim=1, stable=True)[:, :longest]
        place = torch.arange(longest, device=x.device).expand(len(x), longest)
        inside = (place < length)[:, :, None]
        mirrored = torch.where(place < length, length - 1 - place, place)

        words = _take(self.word_noise(self.embed(x)), in_order)
        # cuDNN has no backward pass for a recurrent net in evaluation mode, where attributions need one.
        with torch.backends.cudnn.flags(enabled=self.training or not torch.is_grad_enabled()):
            states = torch.cat([self.onward(words)[0], self.contrary(_take(words, mirrored))[0]], 2)
        count = length.clamp_min(1)
        # Both directions' states are in their reading order: neither mean nor maximum asks for it. States lie in (-1, 1).
        pooled = [(states * inside).sum(1) / count, states.masked_fill(~inside, -1.0).amax(1)]
        return self.head(self.dropout(torch.cat([*pooled, (words * inside).sum(1) / count], 1)))


def _take(values: Tensor, places: Tensor) -> Tensor:
    """(n, tokens, width) values at (n, chosen) places."""
    return values.gather(1, places[:, :, None].expand(-1, -1, values.shape[2]))
