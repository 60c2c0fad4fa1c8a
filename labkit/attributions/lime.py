"""LIME: the coefficients of a linear model fitted to the score around the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from labkit.attributions._coalitions import Games, Shares, credited, doubling, games, in_rounds
from labkit.attributions._designs import Design
from labkit.attributions._regions import regions
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier

FIRST = 64  # coalitions before errors are looked at, and four a feature
POOR = 0.5  # a fit that explains less of the score's variance says little of the model


def lime(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    features: Tensor | None,
    generator: Draws,
    batch_size: int,
    *,
    width: Annotated[float, Range(0.05, 10, log=True), "distance at which a coalition's weight has fallen"] = 0.25,
    penalty: Annotated[Literal["ridge", "lasso"], "shrink all coefficients, or drop the small ones"] = "ridge",
    strength: Annotated[float, Range(0, 1), "of the penalty: 0 none; with lasso 1 drops everything"] = 0.01,
    tolerance: Annotated[
        float, Range(1e-4, 1, log=True), "standard error at which a row is done, of its change"
    ] = 0.02,
    max_samples: Annotated[int, Range(16, 65536, log=True), "coalitions after which a row is left as it is"] = 2048,
    cells: Annotated[int, Range(1, 64), "superpixels along each side, for images"] = 7,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The coefficient of each feature's presence in a linear model of the target's score (Ribeiro, Singh and Guestrin,
    2016, arXiv 1602.04938): features are present by the toss of a coin, else at the baseline's values, and a coalition
    weighs exp(-d² / 2 width²) with d its cosine distance from the whole input.

    Features are those of ``kernel_shap``, and so is the sharing of a coefficient among its entries.

    Returns:
        Like x, in units of the score; it need not add up to the change. The ``standard_error`` of each value (with lasso
        that of the unpenalised fit), the ``samples`` that each row took and whether it ``reached`` the tolerance, the
        ``fit``: the share of the score's weighted variance that the linear model explains, and ``poor_fit`` where that
        is below one half.
    """
    fits = torch.ones(len(x), dtype=torch.float64, device=x.device)

    def solve(game: Games) -> Shares:
        m = game.players
        counts = doubling(max(FIRST, 4 * m), max(max_samples, 2 * m + 2))
        # the same coalitions for all rows, each of which has its features in an order of its own
        design = Design(m, lambda first, last: _coins(m, first, last))

        def grow(rows: Tensor, known: Tensor | None, done: int, count: int) -> Tensor:
            part = game.part(rows)
            fresh = [part.scores(inside) for _, inside in design.blocks(done, count, x.device)]
            return torch.cat(fresh if known is None else [known, *fresh], 1)

        def read(rows: Tensor, worth: Tensor, _count: int) -> tuple[Tensor, Tensor]:
            credit, error, fit = _fitted(design, worth, width, penalty, strength)
            fits[game.row[rows]] = fit
            return credit, error

        return in_rounds(game.change, counts, grow, read, tolerance)

    start = games(model, x, target, baseline, regions(model, x, features, cells), generator, batch_size)
    values, facts = credited(x, start, solve, tolerance)
    return values, {**facts, "fit": fits, "poor_fit": fits < POOR}


def _coins(m: int, first: int, last: int) -> Tensor:
    """(coalitions, m) each feature by the toss of a coin."""
    return torch.from_numpy(Draws(1, np.arange(first, last)).spawn(m).uniform(m)) < 0.5


def _fitted(
    design: Design, worth: Tensor, width: float, penalty: str, strength: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients and standard errors (rows, m), and the share of the variance explained (rows,)."""

    m = design.players

    def weighed() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(coalitions, 1 + m) one and who is present, (coalitions,) their weights, and (rows, coalitions) scores."""
        for part, inside in design.blocks(0, worth.shape[1], worth.device):
            distance = 1 - inside.double().mean(1).sqrt()
            yield (
                nn.functional.pad(inside.double(), (1, 0), value=1.0),
                (-(distance**2) / (2 * width**2)).exp(),
                worth[:, part],
            )

    moments, products = worth.new_zeros(m + 1, m + 1), worth.new_zeros(len(worth), m + 1)
    for a, w, y in weighed():
        heavy = a * w[:, None]
        moments += a.T @ heavy
        products += y @ heavy
    total = moments[0, 0]
    middle, level = moments[0, 1:] / total, products[:, :1] / total
    gram, slope = moments[1:, 1:] / total - middle.outer(middle), products[:, 1:] / total - level * middle
    ridge = strength * gram.diagonal().mean() if penalty == "ridge" else gram.new_zeros(())
    inverse = torch.linalg.pinv(gram + ridge * torch.eye(len(gram)).to(gram), hermitian=True)
    credit = slope @ inverse if penalty == "ridge" else _lasso(gram, slope, strength)

    error, left, whole = torch.zeros_like(credit), torch.zeros_like(level[:, 0]), torch.zeros_like(level[:, 0])
    for a, w, y in weighed():
        here, there, weight = a[:, 1:] - middle, y - level, w / total
        solver = here @ inverse * weight[:, None]
        leverage = (solver * here).sum(1) + weight  # the intercept takes one too
        missed = (there - credit @ here.T) / (1 - leverage).clamp_min(1e-6)
        error += missed.square() @ solver.square()
        left += ((1 - leverage).clamp_min(1e-6) * missed).square() @ weight
        whole += there.square() @ weight
    return credit, error.sqrt(), torch.where(whole > 0, 1 - left / whole.clamp_min(1e-300), 1.0)


def _lasso(gram: Tensor, slope: Tensor, strength: float, sweeps: int = 1000) -> Tensor:
    """Coordinate descent on squared error / 2 + strength * (the least penalty that drops everything) * 1-norm."""
    limit = strength * slope.abs().amax(1)
    credit = torch.zeros_like(slope)
    for _ in range(sweeps):
        before = credit.clone()
        for j, size in enumerate(gram.diagonal()):
            pull = slope[:, j] - credit @ gram[:, j] + size * credit[:, j]
            credit[:, j] = pull.sign() * (pull.abs() - limit).clamp_min(0) / size.clamp_min(1e-300)
        if (credit - before).abs().max() <= 1e-9 * credit.abs().max():
            break
    return credit
