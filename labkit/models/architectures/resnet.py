"""A small residual network for small images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from labkit.models.normalize import Normalize


def resnet(
    *,
    classes: int,
    channels: int = 1,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    widths: Sequence[int] = (32, 64, 128),
) -> nn.Module:
    """A first convolution; then, once a further width, a convolution that halves the image and a residual block; the
    greatest value of each channel over all positions; one linear layer.

    Residual blocks are those of He et al., 2016, arXiv 1512.03385. Every ReLU is a module of its own and is applied
    once, as propagation rules need it.

    Args:
        classes: how many outputs.
        channels: of the (n, channels, height, width) input, in the data's own unit.
        mean, std: of the training pixels; the first layer normalises with them.
        widths: channels of the first convolution and of each stage.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalize=Normalize(mean, std, axes=2))
    layers["stem"] = nn.Sequential(_convolution(channels, widths[0]), nn.BatchNorm2d(widths[0]), nn.ReLU())
    for i, (before, after) in enumerate(pairwise(widths), start=1):
        layers[f"down{i}"] = nn.Sequential(
            _convolution(before, after), nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU()
        )
        layers[f"block{i}"] = Residual(after)
    layers["pool"] = nn.AdaptiveMaxPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(widths[-1], classes)
    return nn.Sequential(layers)


class Residual(nn.Module):
    """x plus two normalised convolutions of x, then ReLU: (n, width, height, width) -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1, self.relu1 = _convolution(width, width), nn.BatchNorm2d(width), nn.ReLU()
        self.conv2, self.norm2, self.relu2 = _convolution(width, width), nn.BatchNorm2d(width), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(x + self.norm2(self.conv2(inner)))


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=False)
