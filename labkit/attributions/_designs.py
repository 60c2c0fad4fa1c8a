"""Designs of regressions on coalitions: a bit for each player, and looked at in blocks, so that many take little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

BLOCK = 512  # coalitions that are spelt out at once


class Design:
    """Coalitions, the same however many are asked for.

    Args:
        players: how many there are.
        draw: (first, last) -> (last - first, players) booleans: these coalitions of an endless list.
    """

    def __init__(self, players: int, draw: Callable[[int, int], Tensor]) -> None:
        self.players, self.draw = players, draw
        self._bits = np.zeros((0, -(-players // 8)), np.uint8)

    def blocks(self, first: int, last: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
        """Which coalitions, and (coalitions, players) who is in each; drawn when they are first asked for."""
        for start in range(first, last, BLOCK):
            part = slice(start, min(start + BLOCK, last))
            known = len(self._bits)
            if part.stop > known:
                fresh = np.packbits(self.draw(known, part.stop).numpy(), axis=1)
                self._bits = np.concatenate([self._bits, fresh])
            inside = np.unpackbits(self._bits[part], axis=1, count=self.players).astype(bool)
            yield part, torch.from_numpy(inside).to(device)
