"""How the loss bends at a model's weights: products with its exact Hessian, and what they tell without the whole of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from labkit.analyses._landscape.ground import MOST, Ground
from labkit.core import progress
from labkit.core.resampling import stream

Times = Callable[[Tensor], Tensor]
Interval = tuple[float, float, float]


@contextmanager
def differentiable() -> Iterator[None]:
    """Within it everything can be differentiated twice: fused attention cannot, and cuDNN's recurrent nets not once."""
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
        yield


class Curvature:
    """The Hessian of the mean loss of some rows with respect to all weights, laid end to end.

    Attributes:
        weights: (size,) the weights; size: how many.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.names, parts = zip(*ground.weights.items())
        self.shapes = [p.shape for p in parts]
        self.weights = self.flat(list(parts))
        self.size = len(self.weights)

    @staticmethod
    def flat(parts: list[Tensor]) -> Tensor:
        """(size,) tensors of the weights' shapes, end to end."""
        return torch.cat([p.reshape(-1) for p in parts])

    def losses(self, weights: Tensor, rows: slice) -> Tensor:
        """(rows,) losses at other weights."""
        parts = weights.split([s.numel() for s in self.shapes])
        return self.ground.losses({n: p.view(s) for n, p, s in zip(self.names, parts, self.shapes)}, rows)

    def slope(self, weights: Tensor) -> tuple[float, Tensor]:
        """The mean loss, and (size,) its gradient."""
        loss, total = 0.0, torch.zeros_like(weights)
        for rows in self.parts():
            self.ground.passed(rows, 1, 1)
            with differentiable():
                leaf = weights.clone().requires_grad_()
                part = self.losses(leaf, rows).sum() / self.n
                total += torch.autograd.grad(part, leaf)[0]
            loss += float(part.detach())
        return loss, total

    def times(self, vector: Tensor) -> Tensor:
        """(size,) the Hessian times a vector, by differentiating twice."""
        parts = [self._products(rows, [vector])[0] * (min(rows.stop, self.n) - rows.start) for rows in self.parts()]
        return sum(parts, torch.zeros_like(vector)) / self.n

    def bends(self, vectors: Sequence[Callable[[], Tensor]], blocks: int) -> np.ndarray:
        """(vectors, blocks) v' H v of each vector, on each of as many blocks of rows. A vector is made when its turn
        comes: those of a large model do not fit into memory together."""
        cut = [slice(int(r[0]), int(r[-1]) + 1) for r in np.array_split(np.arange(self.n), blocks)]
        size, found = max(1, MOST // self.size), []
        for done in range(0, len(vectors), size):
            progress.step("Hessian, trace", done, len(vectors))
            some = [make() for make in vectors[done : done + size]]
            each = [self._products(rows, some) for rows in cut]
            found += [[float(v @ products[i]) for products in each] for i, v in enumerate(some)]
        progress.step("Hessian, trace", len(vectors), len(vectors))
        return np.array(found)

    @property
    def n(self) -> int:
        return len(self.ground.x)

    def parts(self) -> list[slice]:
        return self.ground.parts()

    def _products(self, rows: slice, vectors: list[Tensor]) -> list[Tensor]:
        """The Hessian of these rows' mean loss times each vector."""
        self.ground.passed(rows, 1, 1 + 2 * len(vectors))
        with differentiable():
            leaf = self.weights.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.losses(leaf, rows).mean(), leaf, create_graph=True)
            if not slope.requires_grad:  # a loss that is linear in the weights
                return [torch.zeros_like(v) for v in vectors]
            return [torch.autograd.grad(slope @ v, leaf, retain_graph=True)[0] for v in vectors]


def extremes(times: Times, start: Tensor, tolerance: float) -> tuple[Interval, float, int]:
    """The largest eigenvalue of a symmetric matrix with its interval, a value that the least does not exceed, and how
    many products with the matrix it took: the iteration of Lanczos, 1950 (doi 10.6028/jres.045.026).

    The estimate is no larger than the eigenvalue. From a random start on the sphere it lies below by more than
    ``tolerance`` of the whole range of eigenvalues with a probability of 1.648 sqrt(size) exp(-sqrt(tolerance) (2 steps -
    1)) at most, whatever the matrix (Kuczynski and Wozniakowski, 1992, doi 10.1137/0613066), and so many steps are taken
    that this is 1 %. A small residual instead would not do: it may be that of another eigenvalue. Three vectors are kept;
    those that lose their orthogonality give an eigenvalue twice and no false one (Paige, 1980, doi
    10.1016/0024-3795(80)90167-6).

    Args:
        start: (size,) independent normal numbers.
        tolerance: from 0 to 0.5, both excluded.
    """
    now, before = start / start.norm(), torch.zeros_like(start)
    diagonal: list[float] = []
    beside = [0.0]
    wanted = (math.log(1.648 * math.sqrt(len(start)) / 0.01) / math.sqrt(tolerance) + 1) / 2
    for step in range(min(math.ceil(wanted), len(start))):
        progress.step("Hessian, largest eigenvalue", step, math.ceil(wanted))
        product = times(now)
        diagonal.append(float(now @ product))
        product = product - diagonal[-1] * now - beside[-1] * before
        beside.append(float(product.norm()))
        if beside[-1] <= 1e-12 * max(map(abs, (*diagonal, *beside[:-1]))):
            break  # the vectors so far span all that the start has a part in
        now, before = product / beside[-1], now
    progress.step("Hessian, largest eigenvalue", math.ceil(wanted), math.ceil(wanted))
    off = beside[1 : len(diagonal)]
    values = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    largest, least = float(values[-1]), float(values[0])
    # The range of the estimates is shorter than the true one by at most the tolerance at each end.
    return (largest, largest, largest + tolerance / (1 - 2 * tolerance) * (largest - least)), least, len(diagonal)


def signs(curvature: Curvature, number: int, seed: int) -> Tensor:
    """(size,) random 1 and -1."""
    drawn = stream(seed, "loss_landscape", f"signs {number}").choice((-1.0, 1.0), curvature.size)
    return torch.from_numpy(drawn).to(curvature.weights)


def crossed_mean(values: np.ndarray, level: float = 0.95) -> Interval:
    """Mean of a (vectors, blocks) table and its interval, where both vectors and blocks are random draws.

    The variance of the mean is that of the rows' means and that of the columns', less what both hold of the rest; its
    degrees of freedom are Satterthwaite's, 1946 (doi 10.2307/3002019).
    """
    from scipy.special import stdtrit

    count = np.array(values.shape)
    middle = float(values.mean())
    by = np.array([values.mean(1).var(ddof=1), values.mean(0).var(ddof=1)]) / count
    rest = values - values.mean(1, keepdims=True) - values.mean(0) + middle
    both = np.square(rest).sum() / (count - 1).prod() / count.prod()
    variance = max(by.sum() - both, by.max())
    if variance == 0:
        return middle, middle, middle
    freedom = variance**2 / (np.square(by) / (count - 1)).sum()
    half = float(stdtrit(max(freedom, 1.0), 0.5 + level / 2)) * np.sqrt(variance)
    return middle, float(middle - half), float(middle + half)


def worst(curvature: Curvature, radius: float, steps: int) -> Tensor:
    """(size,) the weights in a small ball around the model's where the mean loss is highest, as far as ``steps`` steps
    uphill find them.

    The ball is adaptive (Kwon et al., 2021, arXiv 2102.11600): each weight moves in units of its own size, and the root
    of the sum of squared shares is at most ``radius``. The first step is theirs; those after it go on from there.
    """
    middle = curvature.weights
    scale = middle.abs()
    share, found, highest = torch.zeros_like(middle), middle, -float("inf")
    for step in range(steps + 1):
        progress.step("worst case nearby", step, steps + 1)
        here = middle + scale * share
        loss, slope = curvature.slope(here)
        if loss > highest:
            found, highest = here, loss
        uphill = scale * slope
        length = float(uphill.norm())
        if length == 0:
            break
        share = share + uphill * (radius / length) * (1.0 if step == 0 else 0.5)
        share = share * min(1.0, radius / float(share.norm()))
    progress.step("worst case nearby", steps + 1, steps + 1)
    return found


def nearby(curvature: Curvature, radius: float, count: int, seed: int) -> Iterator[Tensor]:
    """``count`` times (size,) weights at random on that ball: what a step of its size does that is not chosen."""
    generator = stream(seed, "loss_landscape", "nearby")
    for _ in range(count):
        share = torch.from_numpy(generator.standard_normal(curvature.size)).to(curvature.weights)
        yield curvature.weights * (1 + share * (radius / share.norm()))
