"""A model that counts its passes, and stops when what was allowed is spent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields

from torch import Tensor

from labkit.models.classifier import Classifier

GRADIENT = 3  # a backward pass costs about two forward ones


class Exhausted(Exception):
    """What was allowed is spent."""


@dataclass
class Meter:
    """Rows sent through a model and seconds since the start. A row whose gradient may be taken counts three times."""

    unit: str
    passes: int = 0
    started: float = field(default_factory=time.perf_counter)
    limit: float = float("inf")

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def spent(self) -> float:
        return self.seconds if self.unit == "seconds" else float(self.passes)

    @property
    def exhausted(self) -> bool:
        return self.spent > self.limit

    def allow(self, more: float) -> None:
        """From now on at most so much more may be spent."""
        self.limit = self.spent + more

    def count(self, rows: int) -> None:
        self.passes += rows
        if self.exhausted:
            raise Exhausted


@dataclass(frozen=True, eq=False)
class Metered(Classifier):
    """A model whose every pass is counted, also those of copies with other weights or another module."""

    meter: Meter = field(default_factory=lambda: Meter("passes"))

    def __call__(self, x: Tensor) -> Tensor:
        self.meter.count(len(x))
        out = super().__call__(x)
        if out.requires_grad:
            self.meter.count((GRADIENT - 1) * len(x))
        return out


def metered(model: Classifier, meter: Meter) -> Metered:
    """The same model, counted."""
    return Metered(**{f.name: getattr(model, f.name) for f in fields(Classifier)}, meter=meter)
