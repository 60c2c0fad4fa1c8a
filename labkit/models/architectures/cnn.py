"""A plain convolutional network for small images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence

from torch import nn

from labkit.models.normalize import Normalize


def cnn(
    *,
    classes: int,
    size: int,
    channels: int = 1,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    widths: Sequence[int] = (24, 48, 64, 64),
    pooled: Collection[int] = (1, 2, 4),
) -> nn.Module:
    """Convolution, batch normalisation (Ioffe and Szegedy, 2015, arXiv 1502.03167) and ReLU, once a width; then one
    linear layer over all positions.

    Pooling stands directly after a convolution: normalisation and ReLU then work on a quarter of the values, which
    halves the time of a step. The last convolution still sees a map fine enough for Grad-CAM (7 x 7 of 28 x 28).

    Args:
        classes: how many outputs.
        size: height and width of the (n, channels, size, size) input, in the data's own unit.
        mean, std: of the training pixels; the first layer normalises with them.
        widths: output channels of each block.
        pooled: the blocks, counted from 1, that halve the image.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalize=Normalize(mean, std, axes=2))
    for i, (before, after) in enumerate(zip((channels, *widths), widths), start=1):
        layers[f"conv{i}"] = nn.Conv2d(before, after, 3, padding=1, bias=False)
        if i in pooled:
            layers[f"pool{i}"] = nn.MaxPool2d(2)
            size //= 2
        layers[f"norm{i}"] = nn.BatchNorm2d(after)
        layers[f"relu{i}"] = nn.ReLU()
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(widths[-1] * size * size, classes)
    return nn.Sequential(layers)
