"""Several towers and their sum, on pictures that are turned, moved and mirrored, and on names that lose words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from labkit.training.augment import UNKNOWN
from labkit.training.members import Members
from labkit.training.objectives import Objective, cross_entropy


@dataclass(frozen=True)
class Towers(Objective):
    """Cross-entropy of the towers' sum, and of each tower by itself.

    Without its own part a tower learns only what the other leaves over, and the faster one leaves little (Huang et al.,
    2022, arXiv 2203.12221).

    Attributes:
        picture: (channels, height, width) of the picture that begins each row, white where there is nothing.
        own: weight of the mean of the towers' own cross-entropies.
        smoothing: share of the target spread over all classes.
        turn: pictures are turned by up to so many degrees, either way.
        zoom: and made larger or smaller by up to this share.
        shift: and moved by up to this share of their side, along both axes.
        flip: and mirrored half of the time.
        word_dropout: share of the words replaced by the unknown word.
    """

    picture: tuple[int, int, int]
    own: float = 0.5
    smoothing: float = 0.0
    turn: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    flip: bool = False
    word_dropout: float = 0.0

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        fused, *towers = (cross_entropy(logits, y, label_smoothing=self.smoothing) for logits in answer(self.seen(x)))
        return (fused + self.own * torch.stack(towers).mean(0)).mean(1)

    def judge(self, answer: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            fused = answer(x)[0]
        return cross_entropy(fused, y), (fused.argmax(-1) == y).float()

    def seen(self, x: Tensor) -> Tensor:
        """(models, n, values) rows as a step sees them, each with its own draws."""
        pixels, words = x.flatten(0, 1).tensor_split([math.prod(self.picture)], 1)
        dropped = torch.rand(words.shape, device=x.device) < self.word_dropout
        words = torch.where(dropped & (words != 0), UNKNOWN, words)
        pictures = self._moved(pixels.unflatten(1, self.picture))
        return torch.cat([pictures.flatten(1), words], 1).view(x.shape)

    def _moved(self, pictures: Tensor) -> Tensor:
        n, device = len(pictures), pictures.device

        def drawn(most: float) -> Tensor:
            return most * (2 * torch.rand(n, device=device) - 1)

        angle, scale = drawn(math.radians(self.turn)), 1 + drawn(self.zoom)
        mirror = torch.where(torch.rand(n, device=device) < 0.5 * self.flip, -1.0, 1.0)
        cos, sin = scale * angle.cos(), scale * angle.sin()
        # a shift of the whole side is 2 in the sampling grid's unit
        rows = [mirror * cos, -sin, drawn(2 * self.shift), mirror * sin, cos, drawn(2 * self.shift)]
        grid = functional.affine_grid(torch.stack(rows, 1).view(n, 2, 3), list(pictures.shape), align_corners=False)
        # what enters from outside is zero: taken of the white's complement, it is white
        return 1 - functional.grid_sample(1 - pictures, grid, align_corners=False)
