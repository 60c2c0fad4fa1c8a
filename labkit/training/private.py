"""Training that tells little of any single row: differentially private stochastic gradient descent.

Each row's own gradient is cut to a norm, the sum is blurred by noise of a stated size, and every step draws its rows by
chance (Abadi et al., 2016, arXiv 1607.00133). What that promises is counted by Opacus (Yousefpour et al., 2021, arXiv
2109.12298), whose accountant is all that is taken from it: many models learn at once by ``row_gradients``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core import progress
from labkit.core.cost import DONE
from labkit.core.refused import Refused
from labkit.models.device import pick
from labkit.models.work import flops
from labkit.training.costs import Costs
from labkit.training.loop import epoch_seed
from labkit.training.many import Fit, Many
from labkit.training.many.fitting import Rows, as_tensor
from labkit.training.many.row_gradients import Clipped, Weights, clipped

ASKED = "private training"
# Noise is averaged out by large batches, and few steps ask for less of it.
PRIVATELY = Fit(rate=1e-2, batch_size=128)
# Orders of Renyi's divergence at which spending is counted: each bounds it, and more of them hardly better.
ORDERS = (1.1, 1.25, 1.5, 1.75, 2.5, 3.5, 4.5, *range(2, 64), 80, 96, 128, 192, 256, 512)


@dataclass(frozen=True)
class Private:
    """What training promises of every single row, there or not: (epsilon, delta)-differential privacy.

    Attributes:
        epsilon: above 0; whoever sees the model raises the odds of a guess about one row by exp(epsilon) at most.
        delta: in (0, 1), well below one over the rows: how likely the promise may fail.
        clip: the norm that no row's gradient exceeds.
    """

    epsilon: float
    delta: float = 1e-5
    clip: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.epsilon < math.inf and 0 < self.delta < 1 and 0 < self.clip < math.inf):
            raise Refused(ASKED, repr(self), "epsilon above 0, delta between 0 and 1, clip above 0")


@dataclass(frozen=True, eq=False)
class PrivateModels:
    """Models trained privately, and what was spent on each.

    Attributes:
        many: the models.
        epsilon, delta: what each promises of every single row, added or taken away, by the accountant (Mironov, 2017,
            arXiv 1702.07476; of rows drawn by chance: Mironov, Talwar and Zhang, 2019, arXiv 1908.10530); ``epsilon`` is at
            most what was asked for.
        noise: standard deviation of the noise, in units of ``clip``. clip: the norm that no row's gradient exceeds.
        rate: the chance of each row to be drawn in a step. steps: how many were made.
        clipped: share of the drawn rows' gradients that were cut.
    """

    many: Many
    epsilon: float
    delta: float
    noise: float
    clip: float
    rate: float
    steps: int
    clipped: float


def fit_private(
    make: Callable[[int], nn.Module],
    x: np.ndarray,
    y: np.ndarray,
    chosen: np.ndarray | None = None,
    *,
    private: Private,
    fit: Fit = PRIVATELY,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    memory: int = 2**30,
    title: str = "private training",
) -> PrivateModels:
    """Train models by differentially private gradient descent, all at once.

    A step draws every row with the chance ``batch_size`` over the rows of the largest model, and divides the noisy sum by
    ``batch_size``. The noise follows from the models' seeds, so that a result can be had again: whoever publishes a model
    under the promise takes a seed that nobody knows.

    Args:
        make: a fresh module from a seed, whose answer to a row depends on that row alone.
        x, y: (n, ...) inputs and (n,) labels from 0.
        chosen: (models, n) whether a model sees a row; None means one model that sees all.
        private: what is to be promised.
        fit: as for ``fit_many``, but its epochs mean as many steps as so many passes would take.
        seeds: one a model, 0, 1, ... when None.
        memory: bytes that a stack of models and its rows' gradients may take.

    Raises:
        Refused: Opacus is not installed; modules that mix rows (BatchNorm) or that torch cannot vectorise; a promise that
            no noise keeps; a loss that is not finite.
    """
    where = pick(device)
    chosen = np.ones((1, len(x)), bool) if chosen is None else np.asarray(chosen)
    x, y = np.asarray(x), np.asarray(y)
    Rows(x, y, chosen, None).check(ASKED)
    seeds = tuple(range(len(chosen)) if seeds is None else map(int, seeds))
    if y.ndim != 1 or len(seeds) != len(chosen):
        given = f"labels of shape {y.shape} and {len(seeds)} seeds for {len(chosen)} models"
        raise Refused(ASKED, given, "(n,) labels, and a seed a model")
    rate = min(1.0, fit.batch_size / int(chosen.sum(1).max()))
    steps = max(1, round(fit.epochs / rate))
    noise, epsilon = _noise(private, rate, steps)
    began = time.perf_counter()
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        modules = [_fresh(make, seed, where) for seed in seeds]
    rows = clipped(ASKED, modules[0], as_tensor(x[:2], where))
    with torch.no_grad():
        outputs = modules[0](as_tensor(x[:2], where)).shape[1]
    if y.max() >= outputs:
        raise Refused(ASKED, f"the label {y.max()} for modules of {outputs} outputs", "an output a class")
    stack = max(1, memory // (64 * sum(p.numel() for p in modules[0].parameters())))
    run = _Run(modules[0], rows, private.clip, noise, rate, steps, fit, memory, title, len(seeds))
    data = as_tensor(x, where), as_tensor(y, where)
    done: list[Weights] = []
    for i in range(0, len(seeds), stack):
        part = slice(i, i + stack)
        allowed = torch.from_numpy(chosen[part]).to(where)
        done.append(run(modules[part], seeds[part], *data, allowed))
    states = {k: torch.cat([state[k] for state in done]) for k in done[0]}
    costs = Costs(where)
    costs.forwards = costs.backwards = run.drawn
    DONE.add(run.drawn, run.drawn, flops(modules[0], as_tensor(x[:8], where)))
    many = Many(modules[0].eval(), states, {}, costs, time.perf_counter() - began, True, where, memory)
    return PrivateModels(many, epsilon, private.delta, noise, private.clip, rate, steps, run.cut / max(1, run.drawn))


@cache
def _noise(private: Private, rate: float, steps: int) -> tuple[float, float]:
    """The least noise that keeps the promise, in units of the clipping norm, and what it promises exactly."""
    try:
        from opacus.accountants import RDPAccountant
        from opacus.accountants.utils import get_noise_multiplier
    except ImportError:
        instead = 'pip install "labkit[private]"'
        raise Refused(ASKED, "Opacus, which counts what is spent, is not installed", instead) from None
    goal = {"target_epsilon": private.epsilon, "target_delta": private.delta, "sample_rate": rate, "steps": steps}
    try:
        noise = get_noise_multiplier(**goal, accountant="rdp", epsilon_tolerance=private.epsilon / 100, alphas=ORDERS)
    except ValueError as error:
        given = f"epsilon {private.epsilon:g} over {steps} steps of {rate:.3g} of the rows: {error}"
        raise Refused(ASKED, given, "a larger epsilon, more rows, or fewer epochs") from None
    accountant = RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    return float(noise), float(accountant.get_epsilon(delta=private.delta, alphas=ORDERS))


def _fresh(make: Callable[[int], nn.Module], seed: int, where: torch.device) -> nn.Module:
    torch.manual_seed(seed)
    return make(seed).to(where).train()


@dataclass
class _Run:
    """What the parts of one call have in common, and what was counted until now."""

    pattern: nn.Module
    rows: Clipped
    clip: float
    noise: float
    rate: float
    steps: int
    fit: Fit
    memory: int
    title: str
    models: int
    drawn: int = 0
    cut: int = 0
    finished: int = 0

    def __call__(
        self, modules: Sequence[nn.Module], seeds: Sequence[int], x: Tensor, y: Tensor, allowed: Tensor
    ) -> Weights:
        """Train a stack; (models, ...) weights and buffers."""
        # not the draws that the weights came from
        chances = [torch.Generator(x.device).manual_seed(epoch_seed(seed, 0, 1)) for seed in seeds]
        weights = {
            k: torch.stack([m.get_parameter(k).detach() for m in modules]).requires_grad_()
            for k, _ in self.pattern.named_parameters()
        }
        optimizer = self._optimizer(weights)
        for step in range(self.steps):
            draws = [torch.rand(x.shape[0], generator=chance, device=x.device) for chance in chances]
            taken = (torch.stack(draws) < self.rate) & allowed
            for k, value in self._summed(weights, x, y, taken).items():
                blur = torch.stack([torch.randn(value.shape[1:], generator=c, device=x.device) for c in chances])
                weights[k].grad = (value + self.noise * self.clip * blur) / self.fit.batch_size
            for group in optimizer.param_groups:
                group["lr"] = self.fit.rate_at(step / self.steps)
            optimizer.step()
            progress.step(self.title, self.finished * self.steps + (step + 1) * len(seeds), self.models * self.steps)
        self.finished += len(seeds)
        buffers = {k: torch.stack([v.detach()] * len(seeds)) for k, v in self.pattern.named_buffers()}
        return {k: v.detach().cpu().clone() for k, v in (weights | buffers).items()}

    def _optimizer(self, weights: Weights) -> torch.optim.Optimizer:
        wide = [w for w in weights.values() if w.ndim > 2]
        plain = [w for w in weights.values() if w.ndim <= 2]
        groups = [{"params": wide, "weight_decay": self.fit.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        if self.fit.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=self.fit.rate, momentum=0.9)
        return torch.optim.AdamW(groups, lr=self.fit.rate)

    def _summed(self, weights: Weights, x: Tensor, y: Tensor, taken: Tensor) -> Weights:
        """The sum over each model's drawn rows of their gradients, each cut to the norm."""
        most = int(taken.sum(1).max())
        rows = taken.float().argsort(dim=1, descending=True, stable=True)[:, :most]
        there = taken.gather(1, rows)
        held = {k: w.detach() for k, w in weights.items()}
        total = {k: torch.zeros_like(w) for k, w in held.items()}
        batch = max(1, self.memory // (8 * self.rows.numbers * len(taken)))
        for some, real in zip(rows.split(batch, 1), there.split(batch, 1)):
            sums, norm, losses = self.rows(held, x[some], y[some], real.float(), self.clip)
            if not torch.isfinite(losses[real]).all():
                raise Refused(ASKED, "a loss that is not finite", f"a rate below {self.fit.rate:g}")
            for k, value in sums.items():
                total[k] += value
            self.drawn += int(real.sum())
            self.cut += int((norm[real] > self.clip).sum())
        return total
