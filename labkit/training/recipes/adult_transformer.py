"""Adult by a transformer whose tokens are the features."""

from __future__ import annotations

from labkit.training.columns import typical
from labkit.training.measures import Goal, auc
from labkit.training.recipe import Recipe
from labkit.training.recipes.adult_mlp import COLUMNS


def adult_transformer() -> Recipe:
    """A feature-tokeniser transformer on the inputs of adult_mlp. Its attention maps can be read: 13 tokens, of which
    the first answers and the others are the features in their order."""
    return Recipe(
        name="adult_transformer",
        data="adult",
        architecture="tabular_transformer",
        config={"classes": 2, "width": 32, "heads": 4, "blocks": 2, "hidden": 64, "dropout": 0.1},
        from_data=COLUMNS,
        baseline=typical,
        embedding="embed",
        epochs=14,
        batch_size=256,
        optimizer="adamw",
        rate=2e-3,
        weight_decay=0.02,
        clip=1.0,
        average=0.995,
        validation=0.1,
        watch="loss",
        patience=4,
        goals=(Goal(auc, floor=0.92),),
        card={
            "licence": "Apache-2.0 (weights); CC BY 4.0 (data)",
            "intended_use": "Showing attention over the features of a table beside other attributions.",
            "known_failures": (
                "Trained on sex, race and native country: it selects 8.5 % of the women and 26.1 % of the men in the test set.",
                "Finds 59.8 % of the women with a high income and 66.9 % of the men.",
                "Hardly better than adult_glassbox, which can be read: AUC 0.928 beside 0.927.",
                "Incomes of 1994 in dollars of 1994: it says nothing about anyone today.",
                "Constant beyond the range of each number seen in training.",
            ),
        },
    )
