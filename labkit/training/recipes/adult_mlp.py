"""Adult: is a person's income above 50,000 dollars?"""

from __future__ import annotations

from labkit.training.columns import Columns, typical
from labkit.training.measures import Goal, auc
from labkit.training.recipe import Recipe

# Neighbouring capital gains are different cases: at one amount hardly anybody has a high income, at the next nearly
# everybody. With an edge at each amount a net can tell them apart, as gradient boosting does.
COLUMNS = Columns(values=128, intervals=32)


def adult_mlp() -> Recipe:
    """A small dense network over embedded features. Sex, race and native country are among its inputs, as in the data:
    it is a model to audit, not one to decide with."""
    return Recipe(
        name="adult_mlp",
        data="adult",
        architecture="tabular_mlp",
        config={"classes": 2, "width": 8, "hidden": (128, 64), "dropout": 0.25},
        from_data=COLUMNS,
        baseline=typical,
        embedding="embed",
        epochs=20,
        batch_size=512,
        optimizer="adamw",
        rate=3e-3,
        weight_decay=0.02,
        average=0.99,
        validation=0.1,
        watch="loss",
        patience=8,
        together=True,
        goals=(Goal(auc, floor=0.915),),
        card={
            "licence": "Apache-2.0 (weights); CC BY 4.0 (data)",
            "intended_use": "Showing how tabular models are explained and audited for group differences.",
            "known_failures": (
                "Trained on sex, race and native country: it selects 8.7 % of the women and 25.8 % of the men in the test set.",
                "Finds 60.3 % of the women with a high income and 66.5 % of the men, and 5 of the 19 American Indians and Eskimos.",
                "Incomes of 1994 in dollars of 1994: it says nothing about anyone today.",
                "Constant beyond the range of each number seen in training.",
            ),
        },
    )
