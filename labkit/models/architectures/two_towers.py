"""A network for a picture with a few words: a tower for each, whose answers are added."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from labkit.models.architectures.cnn import cnn

PADDING = 0


def two_towers(
    *,
    classes: int,
    picture: Sequence[int],
    words: int,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    widths: Sequence[int] = (32, 48, 96, 96),
    pooled: Collection[int] = (1, 2, 3, 4),
    width: int = 16,
    hidden: int = 64,
    dropout: float = 0.5,
    tower: Literal["both", "image", "text"] = "both",
) -> nn.Module:
    """See ``TwoTowers``. ``mean``, ``std``, ``widths`` and ``pooled`` are those of ``cnn``, the image tower."""
    channels, height, side = picture
    if height != side:
        raise ValueError(f"a picture of {height} x {side}, not square")
    towers: dict[str, nn.Module] = {}
    if tower != "text":
        towers["image"] = cnn(
            classes=classes, size=side, channels=channels, mean=mean, std=std, widths=widths, pooled=pooled
        )
    if tower != "image":
        towers["text"] = WordSum(width, hidden, classes, dropout)
    return TwoTowers(picture, words, width, towers)


class TwoTowers(nn.Module):
    """Late fusion: the sum of the towers' logits. What a pixel or a word adds passes through its own tower alone.

    Args:
        picture: (channels, height, width) of the picture that begins each row.
        words: size of the vocabulary, with padding as word 0.
        width: length of a word's vector.
        towers: "image", a module of pictures, "text", a module of word vectors, or both.
    """

    def __init__(self, picture: Sequence[int], words: int, width: int, towers: dict[str, nn.Module]) -> None:
        super().__init__()
        self.picture = tuple(picture)
        self.embed = PartsEmbedding(math.prod(picture), words, width)
        self.towers = nn.ModuleDict(towers)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(n, pixel values and word numbers) -> (n, classes) logits: the sum, then those of each tower."""
        entries = self.embed(x)
        pixels = self.embed.pixels
        parts = {"image": entries[:, :pixels, 0].unflatten(1, self.picture), "text": entries[:, pixels:]}
        logits = [tower(parts[name]) for name, tower in self.towers.items()]
        return torch.stack(logits).sum(0), *logits


class PartsEmbedding(nn.Module):
    """(n, pixels + words) -> (n, pixels + words, width): a pixel's value and then zeros, a word's learned vector."""

    def __init__(self, pixels: int, words: int, width: int) -> None:
        super().__init__()
        self.pixels = pixels
        self.words = nn.Embedding(words, width, padding_idx=PADDING)
        nn.init.normal_(self.words.weight, std=0.1)  # a rare word starts near nothing, not as loud noise
        nn.init.zeros_(self.words.weight[PADDING])

    def forward(self, x: Tensor) -> Tensor:
        vectors = self.words(x[:, self.pixels :].long())
        values = nn.functional.pad(x[:, : self.pixels, None].to(vectors), (0, vectors.shape[2] - 1))
        return torch.cat([values, vectors], 1)


class WordSum(nn.Module):
    """(n, words, width) -> (n, classes) logits: features of each word by itself, added up, in any order.

    A vector of zeros, which padding has, adds nothing: no mask is needed, and a text of padding only gives the bias.
    """

    def __init__(self, width: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.feature = nn.Linear(width, hidden, bias=False)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.dropout(self.relu(self.feature(words)).sum(1)))
