"""Training: one visible loop, and a recipe for each reference model."""

from __future__ import annotations

from labkit.training.loop import Trained, fit
from labkit.training.recipe import Recipe
from labkit.training.shipping import train

__all__ = ["Recipe", "Trained", "fit", "train"]
