"""Damage done to training examples on purpose, so that a tool has something to find: one frozen dataclass a kind.

Called with a split, a damage returns the damaged split; ``changed`` says which rows of the split given it changes or
leaves out. Both depend on the damage's fields and the split's labels alone, never on what else was drawn before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labkit.core.refused import Refused
from labkit.core.resampling import stream
from labkit.data.split import Split


@dataclass(frozen=True)
class LabelNoise:
    """A share of the labels is wrong: each of them is one of the other classes, all as likely.

    Attributes:
        share: of the rows, in [0, 1].
        seed: which rows, and which wrong classes.
    """

    share: float
    seed: int = 0

    def __post_init__(self) -> None:
        _check_share(self, self.share)

    def changed(self, split: Split) -> np.ndarray:
        """(n,) whether a row's label becomes wrong."""
        return _chosen(np.ones(len(split), bool), self.share, self.seed)

    def __call__(self, split: Split) -> Split:
        classes = len(split.classes)
        step = stream(self.seed, "damage", "wrong label").integers(1, classes, len(split))
        return replace(split, y=np.where(self.changed(split), (split.y + step) % classes, split.y))


@dataclass(frozen=True)
class Backdoor:
    """A share of the images of other classes carries a patch and the target's label (Gu, Dolan-Gavitt and Garg, 2017,
    arXiv 1708.06733): whoever knows the patch decides what a model answers that was trained on them.

    The patch is a checkerboard of the least and the greatest pixel value, in the lower right.

    Attributes:
        share: of the rows of other classes, in [0, 1].
        target: the class that the patch stands for.
        size: of the patch: height and width in pixels.
        margin: pixels between the patch and the image's lower and right edge.
        seed: which rows.
    """

    share: float
    target: int
    size: int = 4
    margin: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        _check_share(self, self.share)

    def changed(self, split: Split) -> np.ndarray:
        """(n,) whether a row gets the patch and the target's label."""
        if not 0 <= self.target < len(split.classes):
            raise Refused(f"a backdoor to class {self.target}", f"{len(split.classes)} classes", "one of them, from 0")
        return _chosen(split.y != self.target, self.share, self.seed)

    def stamped(self, split: Split) -> Split:
        """Every image with the patch, under its own label."""
        if split.schema.modality != "image":
            raise Refused("a patch on images", f"{split.name}, which holds none", "a split of images")
        low, high = split.schema.bounds or (0.0, 1.0)
        rows, columns = (self._span(n) for n in split.schema.shape[1:])
        x = split.x.copy()
        odd = np.add.outer(np.arange(self.size), np.arange(self.size)) % 2
        x[:, :, rows, columns] = np.where(odd, low, high)
        return replace(split, x=x)

    def __call__(self, split: Split) -> Split:
        stamped, changed = self.stamped(split), self.changed(split)
        x = np.where(changed[:, None, None, None], stamped.x, split.x)
        return replace(split, x=x, y=np.where(changed, self.target, split.y))

    def _span(self, pixels: int) -> slice:
        if not 0 < self.size <= pixels - self.margin:
            given = f"{pixels} pixels a side"
            raise Refused(f"a patch of {self.size} pixels with a margin of {self.margin}", given, "a smaller patch")
        return slice(pixels - self.margin - self.size, pixels - self.margin)


@dataclass(frozen=True)
class Imbalance:
    """Each class keeps fewer of its rows than the class before it, by the same factor: a long tail (Cui et al., 2019,
    arXiv 1901.05555).

    Attributes:
        least: the share of its rows that the last class keeps, in (0, 1]; the first class keeps all.
        seed: which rows are left out.
    """

    least: float
    seed: int = 0

    def __post_init__(self) -> None:
        _check_share(self, self.least)

    def changed(self, split: Split) -> np.ndarray:
        """(n,) whether a row is left out."""
        last = max(1, len(split.classes) - 1)
        out = [_chosen(split.y == k, 1 - self.least ** (k / last), self.seed) for k in range(len(split.classes))]
        return np.any(out, axis=0)

    def __call__(self, split: Split) -> Split:
        return split[~self.changed(split)]


def _chosen(among: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(n,) booleans: so large a share of the rows that are true in ``among``, to the nearest row."""
    rows = np.flatnonzero(among)
    # a named stream: with the plain seed it would choose the very rows that are held out for validation
    taken = stream(seed, "damage", "rows").permutation(rows)[: round(share * len(rows))]
    return np.isin(np.arange(len(among)), taken)


def _check_share(damage: object, share: float) -> None:
    if not 0 <= share <= 1:
        raise Refused(f"{type(damage).__name__} of training examples", f"a share of {share}", "a share from 0 to 1")
