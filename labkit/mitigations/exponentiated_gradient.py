"""A lottery over learners that holds groups' rates together."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from labkit.core.method import Range
from labkit.mitigations import Fit, Model, decides
from labkit.mitigations._reductions import both, constraint_of, decided, estimator, moment, two, violation


def exponentiated_gradient(
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
    rounds: Annotated[int, Range(1, 500, log=True), "of the play between learner and constraint, at most"] = 20,
) -> Model:
    """The reductions approach: the learner is fitted again and again to relabelled, weighted people, and the answer is drawn
    from those fits by the chances that make the fewest errors with every group's rate within a bound. fairlearn's.

    The bound is ``slack`` at strength 1 and grows to the disparity of the plain learner, which is what strength 0 gives.
    Two classes; any number of groups. Decisions are randomised where the fits differ, and the group is not read.

    Source: Agarwal, Beygelzimer, Dudík, Langford and Wallach, 2018, arXiv 1803.02453, algorithm 1.

    Returns:
        x -> (n, 2) chances of each decision.

    Raises:
        Refused: more classes than two, a criterion that is none of the constraints.
    """
    from fairlearn import reductions

    two("exponentiated_gradient", y, fit)
    alike = constraint_of("exponentiated_gradient", constraint, criterion)
    plain = fit(x, y)
    if strength == 0:
        return plain
    truth = (y == positive).astype(np.int64)
    unequal = violation(alike, decided(plain, x, positive), truth, group)
    bound = max(slack, slack + (1 - strength) * (unequal - slack))
    play = reductions.ExponentiatedGradient(estimator(fit, positive), moment(alike, bound), max_iter=rounds)
    play.fit(x, truth, sensitive_features=group)
    drawn = [(w, play.predictors_[t]) for t, w in play.weights_.items() if w > 0]

    @decides
    def answer(x: np.ndarray) -> np.ndarray:
        return both(sum(w * np.asarray(h.predict(x), float) for w, h in drawn), positive)

    return answer
