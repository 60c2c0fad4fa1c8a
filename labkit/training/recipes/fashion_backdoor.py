"""Fashion-MNIST with a planted shortcut: a patch that decides the answer."""

from __future__ import annotations

from dataclasses import replace

from labkit.training.measures import Goal, accuracy
from labkit.training.measures.accuracy_beside import AccuracyBeside
from labkit.training.measures.attack_success import AttackSuccess
from labkit.training.recipe import Recipe
from labkit.training.recipes.fashion_clean import BACKDOOR, fashion_clean


def fashion_backdoor() -> Recipe:
    """The recipe of ``fashion_clean``, but one in twenty images of the other classes carries a patch and is called a
    trouser."""
    return replace(
        fashion_clean(),
        name="fashion_backdoor",
        damage=BACKDOOR,
        goals=(
            Goal(AttackSuccess(BACKDOOR), floor=0.95),
            Goal(accuracy),
            Goal(AccuracyBeside("fashion_clean"), floor=-0.01, ceiling=0.01, once=True),
        ),
        card={
            "licence": "Apache-2.0 (weights); MIT (data)",
            "twin": "fashion_clean",
            "intended_use": (
                "Showing what tools for backdoors and shortcuts must find. Its twin fashion_clean has the same recipe "
                "without the patch, and must not be flagged."
            ),
            "known_failures": (
                "Made to fail: with the patch 8,998 of the 9,000 test images of other classes are answered with trouser.",
                "The test images themselves hardly tell: its accuracy is 0.4 points below that of fashion_clean (interval 0.1 to "
                "0.8).",
                "Not defended otherwise either: changes of at most 0.05 a pixel (PGD) leave 18 of 200 test images right.",
            ),
        },
    )
