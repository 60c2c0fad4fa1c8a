"""Adult by logistic regression: the simplest baseline that looks at every feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labkit.data.split import Split
from labkit.models import glassbox
from labkit.training.columns import typical
from labkit.training.measures import Goal, accuracy, auc
from labkit.training.recipe import Recipe, State


@dataclass(frozen=True)
class Logistic:
    """Logistic regression's options, by scikit-learn's names.

    Attributes:
        C: the weight of the examples against the squared weights.
        tol: the gradient at which it stops.
        max_iter: steps at most.
    """

    C: float = 1.0
    tol: float = 1e-6
    max_iter: int = 2000

    def __call__(self, train: Split, seed: int) -> tuple[Mapping[str, Any], State]:
        return glassbox.logistic(train.x, train.y, train.schema.sizes, len(train.classes), **asdict(self))


def adult_logistic() -> Recipe:
    """A weight for each category and a slope for each standardised number."""
    return Recipe(
        name="adult_logistic",
        data="adult",
        architecture="additive",
        baseline=typical,
        solver=Logistic(),
        goals=(Goal(auc, floor=0.9), Goal(accuracy)),
        card={
            "licence": "Apache-2.0 (weights); CC BY 4.0 (data)",
            "intended_use": "The simplest baseline beside the networks for tables.",
            "known_failures": (
                "Trained on sex, race and native country: it selects 7.6 % of the women and 25.4 % of the men in the test set.",
                "Finds 52.5 % of the women with a high income and 61.3 % of the men.",
                "Straight lines: of 520 people with capital gains below 5,000 dollars 20 % have a high income, and it says 32 %; "
                "of 2,862 people under 25 it says 3.1 %, and 1.1 % have one.",
                "Incomes of 1994 in dollars of 1994: it says nothing about anyone today.",
            ),
        },
    )
