"""What many models learn from, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from labkit.core.record import array_digest
from labkit.core.refused import Refused


@dataclass(frozen=True)
class Fit:
    """How each model learns: cross-entropy in batches, for a fixed number of epochs; nothing is held out.

    Attributes:
        epochs: passes over the rows that the model sees, each in a new order.
        batch_size: at most so many rows a step; an epoch's steps are as equal as can be and leave no row out.
        rate: learning rate.
        weight_decay: pulls weights of two axes and more to zero, biases and gains never.
        optimizer: "adamw", or "sgd" with Nesterov's momentum 0.9.
        schedule: the rate stays "constant", or falls to zero along half a "cosine".
    """

    epochs: int = 20
    batch_size: int = 64
    rate: float = 1e-3
    weight_decay: float = 0.0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["constant", "cosine"] = "constant"

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or not self.rate > 0 or self.weight_decay < 0:
            raise Refused(
                "how models are to learn", repr(self), "epochs, batch_size and rate above 0, weight_decay from 0"
            )
        if self.optimizer not in ("adamw", "sgd") or self.schedule not in ("constant", "cosine"):
            raise Refused(
                "how models are to learn", repr(self), "optimizer 'adamw' or 'sgd', schedule 'constant' or 'cosine'"
            )

    def rate_at(self, share: float) -> float:
        """The learning rate after this share of all steps."""
        return self.rate * (1 + math.cos(math.pi * share)) / 2 if self.schedule == "cosine" else self.rate


DEFAULT = Fit()


@dataclass(frozen=True, eq=False)
class Rows:
    """The data of all models, as ``fit_many`` is given them."""

    x: np.ndarray
    y: np.ndarray
    chosen: np.ndarray
    watch: tuple[np.ndarray, np.ndarray] | None

    def check(self, title: str) -> None:
        """Refuse lengths that do not fit, models without rows, and labels that are no whole numbers from 0."""
        n, chosen, y = len(self.x), self.chosen, self.y
        if self.x.dtype.kind not in "fiub":
            raise Refused(title, f"inputs of type {self.x.dtype}", "numbers")
        if chosen.dtype != bool or chosen.ndim != 2 or not len(chosen):
            given = f"{chosen.dtype} of shape {chosen.shape} for which rows each model sees"
            raise Refused(title, given, "booleans of shape (models, rows)")
        if chosen.shape[1] != n or y.shape not in ((n,), chosen.shape):
            given = f"{n} inputs, labels of shape {y.shape} and a choice of shape {chosen.shape}"
            raise Refused(title, given, "(n, ...) inputs, (n,) or (models, n) labels, and (models, n) booleans")
        if not chosen.any(1).all():
            raise Refused(title, f"no rows for model {int(np.argmin(chosen.any(1)))}", "one row or more a model")
        for labels in (y, *(() if self.watch is None else (np.asarray(self.watch[1]),))):
            if labels.dtype.kind not in "iu" or not labels.size or labels.min() < 0:
                raise Refused(title, f"labels of type {labels.dtype}, {labels.size} of them", "whole numbers from 0")
        if self.watch is not None and len(self.watch[0]) != len(self.watch[1]):
            given = f"{len(self.watch[0])} inputs and {len(self.watch[1])} labels to watch"
            raise Refused(title, given, "a label an input")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return array_digest(self.x, self.y, self.chosen, *(np.asarray(v) for v in self.watch or ()))


def as_tensor(x: np.ndarray, device: torch.device) -> Tensor:
    """Inputs on the device; fractions as float32, whole numbers as int64."""
    tensor = torch.tensor(np.ascontiguousarray(x), device=device)
    return tensor.float() if tensor.is_floating_point() else tensor.long()
