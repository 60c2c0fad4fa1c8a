"""The best of many learners, each at another price on groups' rates."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Fit, Model, decides
from labkit.mitigations._reductions import both, constraint_of, decided, estimator, moment, two, violation


def grid_search(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    positive: int,
    criterion: str,
    fit: Fit,
    *,
    strength: Annotated[float, Range(0, 1), "share of the training people's disparity that is taken away"] = 1.0,
    constraint: Annotated[
        Literal["by criterion", "demographic_parity", "equalized_odds", "true_positive_rate_parity"],
        "the rates that are to be alike",
    ] = "by criterion",
    slack: Annotated[
        float, Range(0.001, 0.5, log=True), "how far rates may differ from all people's at strength 1"
    ] = 0.01,
    size: Annotated[int, Range(2, 500, log=True), "prices that are tried"] = 21,
    limit: Annotated[float, Range(0.1, 20, log=True), "the largest price, in errors for a difference of 1"] = 1.0,
) -> Model:
    """The reductions approach without lots: the learner is fitted once for each price on the constraints of a grid, by
    relabelling and weighting people. The answer is the fit with the fewest errors on them among those whose groups' rates
    are all within a bound; where none is, the fit that comes nearest. The fits are fairlearn's, the choice is ours.

    The bound is ``slack`` at strength 1 and grows to the disparity of the plain learner, which is what strength 0 gives.
    Two classes; best with two groups: the grid has an axis a constraint. The group is not read.

    Source: Agarwal, Beygelzimer, Dudík, Langford and Wallach, 2018, arXiv 1803.02453, section 3.4.

    Returns:
        x -> (n, 2) decisions, 0 or 1.

    Raises:
        Refused: more classes than two, a criterion that is none of the constraints.
    """
    from fairlearn import reductions

    two("grid_search", y, fit)
    alike = constraint_of("grid_search", constraint, criterion)
    plain = fit(x, y)
    if strength == 0:
        return plain
    truth = (y == positive).astype(np.int64)
    unequal = violation(alike, decided(plain, x, positive), truth, group)
    bound = max(slack, slack + (1 - strength) * (unequal - slack))
    grid = reductions.GridSearch(estimator(fit, positive), moment(alike, 0.0), grid_size=size, grid_limit=limit)
    grid.fit(x, truth, sensitive_features=group)
    left = np.maximum(grid.gammas_.max().to_numpy(), bound)
    best = grid.predictors_[np.lexsort((grid.objectives_, left))[0]]

    @decides
    def answer(x: np.ndarray) -> np.ndarray:
        return both(np.asarray(best.predict(x), float), positive)

    return answer
