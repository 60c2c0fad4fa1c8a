"""Adult: is a person's income above 50,000 dollars?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.data.split import Split
from labkit.training.measures import Goal, auc
from labkit.training.recipe import Recipe

INTERVALS = 16


def adult_mlp() -> Recipe:
    """A small dense network over embedded features. Sex, race and native country are among its inputs, as in the data:
    it is a model to audit, not one to decide with."""
    return Recipe(
        name="adult_mlp",
        data="adult",
        architecture="tabular_mlp",
        config={"classes": 2, "width": 8, "hidden": (128, 64), "dropout": 0.25},
        from_data=features,
        baseline=typical,
        embedding="embed",
        epochs=25,
        batch_size=512,
        optimizer="adamw",
        rate=3e-3,
        weight_decay=0.02,
        average=0.99,
        validation=0.1,
        watch="loss",
        patience=8,
        goals=(Goal(auc, floor=0.915),),
        card={
            "licence": "Apache-2.0 (weights); CC BY 4.0 (data)",
            "intended_use": "Showing how tabular models are explained and audited for group differences.",
            "known_failures": (
                "Trained on sex, race and native country: it selects 8.4 % of the women and 26.0 % of the men in the test set.",
                "Finds 57.8 % of the women with a high income and 64.9 % of the men.",
                "Incomes of 1994 in dollars of 1994: it says nothing about anyone today.",
                "Constant beyond the range of each number seen in training.",
            ),
        },
    )


def features(train: Split) -> Mapping[str, Any]:
    """Interval edges of the numbers and sizes of the categories, from the training examples."""
    columns = list(zip(train.schema.features, train.x.T, strict=True))
    return {
        "edges": [edges(x) if f.kind == "numeric" else [] for f, x in columns],
        "sizes": [0 if f.kind == "numeric" else len(f.categories) for f, _ in columns],
    }


def edges(x: np.ndarray) -> list[float]:
    """Quantiles of the examples, and quantiles of the different values: most capital gains are zero, and it is among the
    few others that the large differences lie."""
    shares = np.linspace(0, 1, INTERVALS + 1)
    return np.unique([np.quantile(x, shares), np.quantile(np.unique(x), shares)]).astype(float).tolist()


def typical(train: Split) -> np.ndarray:
    """The median of each number and the most frequent category of each category."""
    return np.array(
        [
            np.median(x) if f.kind == "numeric" else np.bincount(x.astype(int)).argmax()
            for x, f in zip(train.x.T, train.schema.features)
        ],
        np.float32,
    )
