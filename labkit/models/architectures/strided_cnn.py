"""A convolutional network without normalisation over the batch, for small images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence

from torch import nn

from labkit.models.normalize import Normalize


def strided_cnn(
    *,
    classes: int,
    size: int,
    channels: int = 1,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    widths: Sequence[int] = (32, 32, 64, 64),
    halved: Collection[int] = (1, 3),
    hidden: int = 128,
) -> nn.Module:
    """Convolution and ReLU, once a width; then two linear layers over all positions.

    Convolutions with a stride take the place of pooling, and nothing is normalised: a step is cheap, and the network is
    the same function while it learns and while it is used, so that an adversary's gradients are those of both.

    Args:
        classes: how many outputs.
        size: height and width of the (n, channels, size, size) input, in the data's own unit.
        mean, std: of the training pixels; the first layer normalises with them.
        widths: output channels of each convolution.
        halved: the convolutions, counted from 1, that halve the image.
        hidden: width of the first linear layer.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalize=Normalize(mean, std, axes=2))
    for i, (before, after) in enumerate(zip((channels, *widths), widths), start=1):
        kernel, stride = (4, 2) if i in halved else (3, 1)
        layers[f"conv{i}"] = nn.Conv2d(before, after, kernel, stride, padding=1)
        layers[f"relu{i}"] = nn.ReLU()
        size //= stride
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = nn.Linear(widths[-1] * size * size, hidden)
    layers["relu"] = nn.ReLU()
    layers["head"] = nn.Linear(hidden, classes)
    return nn.Sequential(layers)
