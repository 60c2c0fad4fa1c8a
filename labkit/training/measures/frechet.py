"""How far the distribution of a model's samples is from that of real images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

import labkit as lk
from labkit.data.split import Dataset
from labkit.training.measures import Score

if TYPE_CHECKING:
    from labkit.training.recipe import Recipe

SEEN_BY = "fashion_cnn"
GROUPS = 10
BATCH = 500
_NAMES = {
    "samples": "Fréchet distance of samples, without its bias",
    "training images": "for comparison, Fréchet distance of training images",
    "gaussian": "for comparison, Fréchet distance of a normal distribution's samples",
}


@dataclass(frozen=True)
class Frechet:
    """Fréchet distance to test images in what a classifier sees: the inputs of the last layer of ``fashion_cnn``.

    ``n`` images are compared with as many test images, drawn without replacement. The distance of finite samples is
    too large by a share of 1/n (M. Chong and D. Forsyth, 2020, arXiv 1911.07023), which the jackknife takes away: that
    of training images, which are as good as samples can be, is then about 0. What was measured at n stands in the
    score's words.

    Args:
        of: the model's "samples"; "training images"; or a "gaussian": samples of the normal distribution with the
            training pixels' means and covariances, cut to the bounds. The last two do not look at the model.
        n: images of either kind.
    """

    of: Literal["samples", "training images", "gaussian"] = "samples"
    n: int = 2000

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        seen_by = lk.zoo.load(SEEN_BY)
        test = data.test.x[np.random.default_rng(0).permutation(len(data.test))[: self.n]]
        found = jackknife(*(features(seen_by, x) for x in (self._images(model, data), test)))
        told = (
            f"95 %, jackknife over samples and test images; {found.at_n:.2f} with the bias of n = {self.n}; "
            f"features of {SEEN_BY} {seen_by.digest[:8]}"
        )
        ends = found.unbiased - found.half_width, found.unbiased + found.half_width
        return Score(_NAMES[self.of], found.unbiased, *ends, self.n, told)

    def _images(self, model: Any, data: Dataset) -> np.ndarray:
        if self.of == "samples":
            return np.asarray(model.sample(self.n))
        generator, x = np.random.default_rng(1), data.train.x
        if self.of == "training images":
            return x[generator.permutation(len(x))[: self.n]]
        flat = x.reshape(len(x), -1)
        drawn = generator.multivariate_normal(flat.mean(0), np.cov(flat, rowvar=False), self.n, method="eigh")
        return drawn.clip(*(data.schema.bounds or (-np.inf, np.inf))).astype(np.float32).reshape(self.n, *x.shape[1:])


def features(model: Any, x: np.ndarray) -> np.ndarray:
    """(n, *shape) images -> (n, features) inputs of the last layer of a classifier that is a sequence of layers."""
    with torch.no_grad():
        parts = [model.module[:-1](model.tensor(x[i : i + BATCH])).cpu().numpy() for i in range(0, len(x), BATCH)]
    return np.concatenate(parts)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """(n, features) and (m, features) -> squared Fréchet distance of the normal distributions with their means and
    covariances: |mean difference|^2 + tr(A + B - 2 (A B)^(1/2)).

    Source: D. Dowson and B. Landau, 1982, doi 10.1016/0047-259X(82)90077-X; as a score of samples M. Heusel et al.,
    2017, arXiv 1706.08500.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # (A B)^(1/2) has the trace of (A^(1/2) B A^(1/2))^(1/2), which is symmetric.
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * cross)


class Estimate(NamedTuple):
    """A distance at its n, what it tends to for many images, and half the width of the 95 % interval of either."""

    at_n: float
    unbiased: float
    half_width: float


def jackknife(a: np.ndarray, b: np.ndarray) -> Estimate:
    """(n, features) of each of two kinds, independent rows -> their distance, leaving out a tenth of both in turn.

    Bias and variance are those of the grouped jackknife (M. Quenouille, 1956, doi 10.1093/biomet/43.3-4.353; J. Tukey,
    1958).
    """
    from scipy.special import stdtrit

    group = np.arange(len(a)) % GROUPS
    whole = frechet_distance(a, b)
    parts = np.array([frechet_distance(a[group != i], b[group != i]) for i in range(GROUPS)])
    spread = math.sqrt((GROUPS - 1) / GROUPS * np.square(parts - parts.mean()).sum())
    return Estimate(
        whole, GROUPS * whole - (GROUPS - 1) * float(parts.mean()), float(stdtrit(GROUPS - 1, 0.975)) * spread
    )
