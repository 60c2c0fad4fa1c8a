"""A small vision transformer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from labkit.models.attention import Block
from labkit.models.normalize import Normalize


def vit(
    *,
    classes: int,
    size: int,
    channels: int = 1,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    stem: Sequence[int] = (32, 64),
    width: int = 64,
    heads: int = 4,
    blocks: int = 4,
    hidden: int = 128,
) -> nn.Module:
    """See ``VisionTransformer``."""
    return VisionTransformer(classes, size, channels, mean, std, stem, width, heads, blocks, hidden)


class VisionTransformer(nn.Module):
    """Cuts the image into places, puts a learned token before them, lets all attend to all, and answers from the first.

    The vision transformer of Dosovitskiy et al., 2020, arXiv 2010.11929, with convolutions where it cuts into patches
    (Xiao et al., 2021, arXiv 2106.14881). With two of them a token stands for a step of 4 x 4 pixels, and sees 7 x 7.

    Attention maps are read by a forward hook on ``blocks.<i>.attention.softmax``: its output is (n, heads, tokens, tokens),
    from the token in the third axis to those in the fourth, and sums to 1 over the fourth. Token 0 is the one that
    answers; token 1 + row * columns + column is the place in that row and column, so that ``map[:, :, 0, 1:]`` folds into a
    picture. Rollout (Abnar and Zuidema, 2020, arXiv 2005.00928) is the product over blocks of (map + identity) / 2, with
    the heads averaged.

    Args:
        classes: how many outputs.
        size: height and width of the (n, channels, size, size) input, in the data's own unit.
        mean, std: of the training pixels; the first layer normalises with them.
        stem: output channels of the first convolutions; each halves the image.
        width: length of a token's vector, a multiple of ``heads``.
        heads, blocks, hidden: attention maps a block, blocks, and the width of their dense layers.
    """

    def __init__(
        self,
        classes: int,
        size: int,
        channels: int,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        stem: Sequence[int],
        width: int,
        heads: int,
        blocks: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std, axes=2)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (before, after) in enumerate(zip((channels, *stem), stem), start=1):
            layers[f"conv{i}"] = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers[f"norm{i}"] = nn.BatchNorm2d(after)
            layers[f"relu{i}"] = nn.ReLU()
            size = (size + 1) // 2
        layers["embed"] = nn.Conv2d(stem[-1], width, 1)
        self.stem = nn.Sequential(layers)
        self.answer = nn.Parameter(torch.randn(1, width) * 0.02)
        self.place = nn.Parameter(torch.randn(size * size, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, hidden, dropout=0.0) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, size, size) -> (n, classes) logits."""
        places = self.stem(self.normalize(x)).flatten(2).transpose(1, 2) + self.place
        tokens = torch.cat([self.answer.expand(len(x), 1, -1), places], 1)
        return self.head(self.norm(self.blocks(tokens)[:, 0]))
