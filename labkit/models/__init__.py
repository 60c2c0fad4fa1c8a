"""A model as the tools see it, and the architectures of the reference models."""

from __future__ import annotations

from labkit.models import compression, defenses
from labkit.models.classifier import Classifier
from labkit.models.opening import open, save
from labkit.models.wrapping import wrap

__all__ = ["Classifier", "compression", "defenses", "open", "save", "wrap"]
