"""Random numbers that belong to a row, not to a batch.

Row ``i`` gets the same draws whatever the batch size, the device, or which other rows are still being worked on.
Each number is a hash of (seed, row, call, position): the SplitMix64 output function of Steele, Lea and Flood, 2014
(doi 10.1145/2660193.2660195), used as a counter-based generator.
"""

from __future__ import annotations

import numpy as np

from labkit.core.refused import Refused

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def check_seed(seed: object) -> None:
    """Refuse a seed that is no whole number: it could not be written down and used again."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
        raise Refused(f"draws with seed={seed!r}", f"a {type(seed).__name__}", "a whole number")


class Draws:
    """A stream of random numbers for each row.

    Args:
        seed: any integer.
        rows: how many rows, or the rows' own numbers.
    """

    def __init__(self, seed: int, rows: int | np.ndarray) -> None:
        check_seed(seed)
        numbers = np.arange(rows) if isinstance(rows, int) else np.asarray(rows)
        start = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64) + _GAMMA)
        self.keys = _mix(start + (numbers.astype(np.uint64) + np.uint64(1)) * _GAMMA)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: slice | np.ndarray) -> Draws:
        """The streams of some of the rows, at the point that they have reached."""
        part = object.__new__(Draws)
        part.keys = self.keys[rows]
        return part

    def spawn(self, number: int) -> Draws:
        """Independent streams for the same rows, one set a number: for attempt, draw or step ``number``."""
        part = object.__new__(Draws)
        part.keys = _mix(self.keys ^ _mix(np.array([number], np.uint64) * _GAMMA + np.uint64(0x51)))
        return part

    def bits(self, *shape: int) -> np.ndarray:
        """(rows, *shape) of 64 random bits each. The same call gives the same bits: use ``spawn`` for fresh ones."""
        count = int(np.prod(shape, dtype=np.int64))
        steps = np.arange(1, count + 1, dtype=np.uint64) * _GAMMA
        return _mix(self.keys[:, None] + steps[None]).reshape(len(self), *shape)

    def uniform(self, *shape: int) -> np.ndarray:
        """(rows, *shape) of float32 in [0, 1)."""
        return ((self.bits(*shape) >> np.uint64(40)).astype(np.float32)) * np.float32(2**-24)

    def normal(self, *shape: int) -> np.ndarray:
        """(rows, *shape) of standard normal float32 (Box and Muller, 1958)."""
        bits = self.bits(*shape)
        radius = np.sqrt(-2 * np.log(((bits >> np.uint64(32)).astype(np.float64) + 0.5) * 2**-32))
        angle = (bits & np.uint64(0xFFFFFFFF)).astype(np.float64) * (2 * np.pi * 2**-32)
        return (radius * np.cos(angle)).astype(np.float32)

    def signs(self, *shape: int) -> np.ndarray:
        """(rows, *shape) of -1 or 1, float32."""
        return np.where(self.bits(*shape) >> np.uint64(63), np.float32(1), np.float32(-1))

    def integers(self, high: int, *shape: int) -> np.ndarray:
        """(rows, *shape) of integers in [0, high)."""
        return ((self.bits(*shape) >> np.uint64(32)) * np.uint64(high) >> np.uint64(32)).astype(np.int64)

    def seeds(self) -> list[int]:
        """One 63-bit seed a row, for libraries that bring their own generator."""
        return [int(k >> np.uint64(1)) for k in self.keys]
