"""What both reductions of fairlearn share: a learner as its estimator, criteria as its moments."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.core.refused import Refused
from labkit.mitigations import Fit, Model

# our criteria by the name of fairlearn's constraint
CRITERIA = {
    "selection_rate": "demographic_parity",
    "equalized_odds": "equalized_odds",
    "true_positive_rate": "true_positive_rate_parity",
    "false_positive_rate": "false_positive_rate_parity",
    "accuracy": "error_rate_parity",
}


def constraint_of(asked: str, constraint: str, criterion: str) -> str:
    """The constraint that was named, or the one of the criterion."""
    if constraint == "by criterion" and criterion not in CRITERIA:
        raise Refused(f"{asked} for {criterion}", "a rate that it cannot hold equal", f"one of {', '.join(CRITERIA)}")
    return CRITERIA[criterion] if constraint == "by criterion" else constraint


def moment(constraint: str, bound: float) -> Any:
    """fairlearn's constraint: each group's rate is within ``bound`` of that of all people."""
    from fairlearn import reductions

    made = {
        "demographic_parity": reductions.DemographicParity,
        "equalized_odds": reductions.EqualizedOdds,
        "true_positive_rate_parity": reductions.TruePositiveRateParity,
        "false_positive_rate_parity": reductions.FalsePositiveRateParity,
        "error_rate_parity": reductions.ErrorRateParity,
    }[constraint]
    return made(difference_bound=bound)


def violation(constraint: str, selected: np.ndarray, truth: np.ndarray, group: np.ndarray) -> float:
    """How far from that of all people a group's rate is at most, of (n,) decisions that are 0 or 1."""
    loaded = moment(constraint, 0.0)
    loaded.load_data(np.zeros((len(truth), 1)), truth, sensitive_features=group)
    return float(loaded.gamma(lambda _: selected).max())


def two(asked: str, y: np.ndarray, fit: Fit) -> None:
    """Refuse more classes than two."""
    classes = max(fit.classes, int(y.max()) + 1)
    if classes != 2:
        instead = "parity_penalty, equalized_odds_penalty or adversarial_debiasing, which take several"
        raise Refused(asked, f"{classes} classes", instead)


def estimator(fit: Fit, positive: int) -> Any:
    """The learner as scikit-learn has estimators, for truths that are 1 in the positive class and 0 else."""

    class Estimator:
        # a class of its own closes over the learner: fairlearn copies its estimator before every fit
        def fit(self, x: np.ndarray, y: Any, sample_weight: Any) -> None:
            truth = np.where(np.asarray(y) == 1, positive, 1 - positive)
            self.model = fit(x, truth, weight=np.asarray(sample_weight))

        def predict(self, x: np.ndarray) -> np.ndarray:
            return decided(self.model, x, positive)

    return Estimator()


def decided(model: Model, x: np.ndarray, positive: int) -> np.ndarray:
    """(n,) 1 where the model's answer is the positive class, 0 else."""
    return (model(x).argmax(1) == positive).astype(np.int64)


def both(selected: np.ndarray, positive: int) -> np.ndarray:
    """(n, 2) chances of each answer, of (n,) chances of the positive."""
    return np.stack([1 - selected, selected] if positive == 1 else [selected, 1 - selected], 1)
