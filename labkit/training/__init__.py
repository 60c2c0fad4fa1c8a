"""Training: one visible loop, and a recipe for each reference model."""

from __future__ import annotations

from labkit.training.loop import fit, fit_together
from labkit.training.measures import Goal
from labkit.training.recipe import Recipe
from labkit.training.runs import Trained
from labkit.training.shipping import rewrite_card, train

__all__ = ["Goal", "Recipe", "Trained", "fit", "fit_together", "rewrite_card", "train"]
