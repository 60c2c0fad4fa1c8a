"""Adult by an explainable boosting machine: the baseline that can be read."""

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
class Boosted:
    """An explainable boosting machine's options, by interpret's names; the rest are its defaults.

    Attributes:
        outer_bags: machines that are averaged, each with 15 % of the examples held out to stop on.
        interactions: pairs of features, those of the greatest gain.
        learning_rate: the share of a step that is taken.
        max_rounds: at most so many steps for each term.
    """

    outer_bags: int = 4
    interactions: int = 6
    learning_rate: float = 0.05
    max_rounds: int = 2500

    def __call__(self, train: Split, seed: int) -> tuple[Mapping[str, Any], State]:
        return glassbox.boosted(train.x, train.y, train.schema.sizes, len(train.classes), seed, **asdict(self))


def adult_glassbox() -> Recipe:
    """Step functions of twelve features and of six pairs. Training takes interpret-core; loading does not."""
    return Recipe(
        name="adult_glassbox",
        data="adult",
        architecture="additive",
        baseline=typical,
        solver=Boosted(),
        goals=(Goal(auc, floor=0.92), Goal(accuracy)),
        card={
            "licence": "Apache-2.0 (weights); CC BY 4.0 (data)",
            "intended_use": "The honest baseline beside the networks for tables: every answer is a sum that can be read.",
            "known_failures": (
                "Trained on sex, race and native country: it selects 8.4 % of the women and 25.5 % of the men in the test set.",
                "Finds 59.8 % of the women with a high income and 66.1 % of the men.",
                "Constant beyond the range of each number seen in training, and between two of its steps.",
                "Has no gradients: the contributions of its terms explain it exactly, gradient methods refuse.",
                "Incomes of 1994 in dollars of 1994: it says nothing about anyone today.",
            ),
        },
    )
