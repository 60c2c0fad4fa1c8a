"""Kernel SHAP: Shapley values from a weighted regression on sampled coalitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._coalitions import Games, Shares, credited, doubling, games, in_rounds, or_exact
from labkit.attributions._designs import Design
from labkit.attributions._regions import regions
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier

FIRST = 16  # sampled pairs before errors are looked at
GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, spread evenly however many there are


def kernel_shap(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    features: Tensor | None,
    generator: Draws,
    batch_size: int,
    *,
    tolerance: Annotated[
        float, Range(1e-4, 1, log=True), "standard error at which a row is done, of its change"
    ] = 0.02,
    max_samples: Annotated[int, Range(16, 65536, log=True), "coalitions after which a row is left as it is"] = 2048,
    cells: Annotated[int, Range(1, 64), "superpixels along each side, for images"] = 7,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "complete"]:
    """Shapley values of the target's score, with absent features at the baseline's values (Lundberg and Lee, 2017,
    arXiv 1705.07874).

    Coalitions come in pairs of complements, which leaves out all interactions of two (Covert and Lee, 2021, arXiv
    2012.01536): those of one feature against the others each once, the rest by chance until the largest standard error
    is at most ``tolerance`` of the score's change; or all coalitions where these are few enough, and then the values are
    exact. Rows with as many features share the coalitions and one factorisation, each with its features in an order
    of its own.

    A feature is as ``features`` says; else a column, a word, in images one of ``cells`` x ``cells`` rectangles over all
    channels, in signals one of at most ``cells`` squared stretches. Its value is shared out evenly among its entries.
    Features that equal the baseline get exactly 0 and take no part.

    Returns:
        Like x, in units of the score, adding up to its change from baseline to x; the ``standard_error`` of each value,
        from the regression's residuals, the ``samples`` that each row took: at least two for each feature and 32, and
        whether it ``reached`` the tolerance.
    """

    def solve(game: Games) -> Shares:
        m = game.players
        first = max(FIRST, 2 * m)

        def sample(part: Games, most: int) -> Shares:
            return _sampled(part, doubling(first, max(FIRST, most // 2 - m)), tolerance)

        return or_exact(game, 2 * (m + first), max_samples, tolerance, sample)

    start = games(model, x, target, baseline, regions(model, x, features, cells), generator, batch_size)
    return credited(x, start, solve, tolerance)


def _sampled(game: Games, counts: tuple[int, ...], tolerance: float) -> Shares:
    """Credits by regression on the pairs of single features and ``counts`` of the others."""
    m, device = game.players, game.x.device
    design = Design(m, lambda first, last: _coalitions(m, first, last))

    def grow(rows: Tensor, known: Tensor | None, done: int, count: int) -> Tensor:
        """(rows, pairs) the score of each coalition minus that of its complement."""
        part, first = game.part(rows), 0 if known is None else m + done
        worth = [part.scores(torch.cat([w, ~w])) for _, w in design.blocks(first, m + count, device)]
        fresh = [torch.sub(*both.chunk(2, 1)) for both in worth]
        return torch.cat(fresh if known is None else [known, *fresh], 1)

    def read(rows: Tensor, pairs: Tensor, _count: int) -> tuple[Tensor, Tensor]:
        return _regression(design, pairs, game.change[rows])

    credit, error, used = in_rounds(game.change, counts, grow, read, tolerance)
    return credit, error, 2 * (m + used)


def _coalitions(m: int, first: int, last: int) -> Tensor:
    """(last - first, m) coalitions: single features, then subsets with probabilities as the kernel's weights."""
    number = torch.arange(max(first, m), max(last, m)) - m
    size = torch.arange(2, m - 1)
    reach = (1 / (size * (m - size)).double()).cumsum(0)
    at = ((0.5 + GOLDEN * number.double()) % 1) * reach[-1:]
    chosen = size[torch.searchsorted(reach, at).clamp_max(len(size) - 1)]
    rank = torch.from_numpy(Draws(0, number.numpy()).spawn(m).uniform(m)).argsort(1).argsort(1)
    return torch.cat([torch.eye(m, dtype=torch.bool)[first:last], rank < chosen[:, None]])


def _regression(design: Design, pairs: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """Credits (rows, m) that add up to ``change`` and fit the pairs best, and their standard errors.

    Errors are of the sandwich kind, each residual enlarged by its leverage (MacKinnon and White, 1985, doi
    10.1016/0304-4076(85)90158-7). The single features are no sample and add none.
    """
    m, sampled = design.players, pairs.shape[1] - design.players
    size = torch.arange(2, m - 1).double()
    rest = float(((m - 1) / (size * (m - size))).sum())
    even = change[:, None] / m

    def weighed() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Which are sampled, (pairs, m) signs, (pairs,) weights, and (rows, pairs) what even credits leave."""
        for part, inside in design.blocks(0, pairs.shape[1], pairs.device):
            sign = 2 * inside.double() - 1
            late = torch.arange(part.start, part.stop, device=pairs.device) >= m
            weight = torch.where(late, rest / (2 * max(1, sampled)), 1 / m).to(sign)
            yield late, sign, weight, pairs[:, part] - even * sign.sum(1)

    moments, products = pairs.new_zeros(m, m), pairs.new_zeros(len(pairs), m)
    for _, sign, weight, left in weighed():
        heavy = sign * weight[:, None]
        moments += sign.T @ heavy
        products += left @ heavy
    middle = torch.eye(m, dtype=pairs.dtype, device=pairs.device) - 1 / m  # credits that add up to nothing
    inverse = torch.linalg.pinv(middle @ moments @ middle, hermitian=True)
    extra = products @ inverse
    error = torch.zeros_like(extra)
    for late, sign, weight, left in weighed():
        solver = sign @ inverse * weight[:, None]
        leverage = (solver * sign).sum(1)
        missed = (left - extra @ sign.T) / (1 - leverage).clamp_min(1e-6)
        error += (missed * late).square() @ solver.square()
    return even + extra, error.sqrt()
