"""A recurrent network for time series of unequal length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from labkit.models.normalize import Normalize


def series_rnn(
    *,
    classes: int,
    channels: int,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    hidden: int = 32,
    dropout: float = 0.0,
) -> nn.Module:
    """See ``SeriesRNN``."""
    return SeriesRNN(classes, channels, mean, std, hidden, dropout)


class SeriesRNN(nn.Module):
    """Reads the steps in both directions by gated recurrent units (Cho et al., 2014, arXiv 1406.1078), and answers from
    the mean of their states.

    A step whose channels are all 0 is padding. It leaves the state as it is and is left out of the mean, wherever it
    stands: an answer depends neither on how far a series is padded nor on the other series of its batch.

    Args:
        classes: how many outputs.
        channels: of the (n, channels, steps) input, in the data's own unit.
        mean, std: of each channel over the training series' steps.
        hidden: state size of each direction.
        dropout: on the steps and before the last layer, while training.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std, axes=1)
        self.noise = nn.Dropout(dropout)
        self.onward = nn.GRUCell(channels, hidden)
        self.contrary = nn.GRUCell(channels, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, steps) -> (n, classes) logits."""
        real = (x != 0).any(1)[:, :, None]
        steps = self.noise(self.normalize(x)).transpose(1, 2)
        count = real.sum(1).clamp_min(1)
        means = [
            _summed(self.onward, steps, real, range(x.shape[2])) / count,
            _summed(self.contrary, steps, real, reversed(range(x.shape[2]))) / count,
        ]
        return self.head(self.dropout(torch.cat(means, 1)))


def _summed(cell: nn.GRUCell, steps: Tensor, real: Tensor, order: Iterable[int]) -> Tensor:
    """(n, hidden) sum of the states after each real step, read in this order."""
    total = state = steps.new_zeros(len(steps), cell.hidden_size)
    for t in order:
        state = torch.where(real[:, t], cell(steps[:, t], state), state)
        total = torch.where(real[:, t], total + state, total)
    return total
