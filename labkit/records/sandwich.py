"""Certified <= true <= attacked: what is proven and what was broken, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.intervals import clopper_pearson
from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Sandwich(Record):
    """Robust accuracy between what certificates prove and what attacks leave, on the same rows and model.

    Attributes:
        norm: the threat model. eps: the curve's budgets.
        attacks: their names; breaking: each row's smallest breaking budget, 0 for clean errors, infinity where none is
            known, and ``broken_by`` by which attack.
        certificates: the calls that made them, and their confidence; radius: for each the largest budget up to which a
            row is certified.
        correct: right without a change.
    """

    norm: str
    eps: Annotated[np.ndarray, Dims("eps")]
    attacks: tuple[str, ...]
    certificates: tuple[str, ...]
    confidence: Annotated[np.ndarray, Dims("certificate")]
    radius: Annotated[np.ndarray, Dims("certificate", "example")]
    breaking: Annotated[np.ndarray, Dims("example")]
    broken_by: Annotated[np.ndarray, Dims("example")]
    correct: Annotated[np.ndarray, Dims("example")]

    def __len__(self) -> int:
        return len(self.correct)

    @property
    def best(self) -> np.ndarray:
        """(example,) the largest radius that any certificate gives."""
        return self.radius.max(0)

    @property
    def violated(self) -> np.ndarray:
        """(certificate, example) rows that an attack broke at a budget within their radius: a proof that is none."""
        return self.correct & (self.radius > 0) & (self.breaking <= self.radius)

    @property
    def certified(self) -> np.ndarray:
        """(eps, example) right, and proven to stay so."""
        return self.correct & (self.best >= self.eps[:, None])

    @property
    def standing(self) -> np.ndarray:
        """(eps, example) rows that no attack broke."""
        return self.breaking > self.eps[:, None]

    @property
    def unknown(self) -> np.ndarray:
        """(eps,) how many rows were neither certified nor broken."""
        return (self.standing & ~self.certified).sum(1)

    @property
    def at_least(self) -> np.ndarray:
        """(eps,) certified accuracy."""
        return self.certified.mean(1)

    @property
    def at_most(self) -> np.ndarray:
        """(eps,) robust accuracy against the attacks."""
        return self.standing.mean(1)

    def interval(self, which: str) -> tuple[np.ndarray, np.ndarray]:
        """(eps,) ends of the exact 95 % interval for "at_least" or "at_most"."""
        share = self.at_least if which == "at_least" else self.at_most
        return clopper_pearson(np.round(share * len(self)), len(self))
