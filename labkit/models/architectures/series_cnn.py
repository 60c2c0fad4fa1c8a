"""A convolutional network for short time series of equal length."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from labkit.models.normalize import Normalize


def series_cnn(
    *,
    classes: int,
    steps: int,
    channels: int = 1,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    widths: Sequence[int] = (16, 32),
    kernel: int = 5,
    dropout: float = 0.0,
) -> nn.Module:
    """Convolutions over time, each followed by batch normalisation and ReLU; one linear layer over all steps, since
    when something happens matters as much as what.

    Args:
        classes: how many outputs.
        steps, channels: of the (n, channels, steps) input, in the data's own unit.
        mean, std: of each channel over the training series.
        widths: output channels of each convolution.
        kernel: steps that a convolution sees, an odd number.
        dropout: before the last layer, while training.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalize=Normalize(mean, std, axes=1))
    for i, (before, after) in enumerate(zip((channels, *widths), widths), start=1):
        layers[f"conv{i}"] = nn.Conv1d(before, after, kernel, padding=kernel // 2, bias=False)
        layers[f"norm{i}"] = nn.BatchNorm1d(after)
        layers[f"relu{i}"] = nn.ReLU()
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(dropout)
    layers["head"] = nn.Linear(widths[-1] * steps, classes)
    return nn.Sequential(layers)
