"""COMPAS: is a defendant arrested again within two years?"""

from __future__ import annotations

from labkit.training.columns import Columns, typical
from labkit.training.measures import Goal, auc
from labkit.training.measures.cross_validated import CrossValidated
from labkit.training.recipe import Recipe


def compas_mlp() -> Recipe:
    """A small dense network over seven features of a defendant; race is not among them. A model to audit: what it
    predicts is an arrest, and who is arrested is not who offends."""
    return Recipe(
        name="compas_mlp",
        data="compas",
        architecture="tabular_mlp",
        config={"classes": 2, "width": 4, "hidden": (32, 16), "dropout": 0.1},
        from_data=Columns(values=8, intervals=8),
        baseline=typical,
        embedding="embed",
        epochs=12,
        batch_size=256,
        optimizer="adamw",
        rate=3e-3,
        weight_decay=0.1,
        average=0.98,
        validation=0.1,
        watch="loss",
        together=True,
        goals=(Goal(CrossValidated(), floor=0.72, once=True), Goal(auc)),
        card={
            "licence": "Apache-2.0 (weights); data as published by ProPublica, without names and dates",
            "intended_use": "Showing how a model of arrests is explained and audited for group differences.",
            "known_failures": (
                "Of those in the test part who were not arrested again it calls 32.4 % of the African-American people and "
                "18.3 % of the Caucasian people a risk (n = 312 and 257), without race among its inputs.",
                "Finds 28.4 % of the women who were arrested again and 65.8 % of the men (n = 74 and 488).",
                "Predicts arrests and not offences: where more people are stopped, more are a risk to it.",
                "The test part is an easy fold: AUC 0.747 there, 0.733 over all folds.",
                "Broward County, Florida, in 2013 and 2014 only.",
            ),
        },
    )
