"""Tables under attack: what may change, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.attacks._suited import suited
from labkit.core.refused import Refused
from labkit.data.constraints import Constraints, constraints
from labkit.data.price import Prices
from labkit.data.split import Split
from labkit.models.classifier import Classifier


@dataclass(frozen=True, eq=False)
class Table(Prices):
    """Prices and constraints, and what attacks are offered of them."""

    def on_offer(self, model: Classifier) -> dict[str, Any]:
        return {"constraints": self.agreed, "background": model.tensor(self.background)}


def table(asked: str, data: Split, background: Split | None, given: Constraints | Mapping[str, Any] | None) -> Table:
    """What may change in these rows, filled in from the schema and from training rows."""
    if not data.schema.features:
        kind = f"data without columns ({data.schema.modality})"
        raise Refused(f"{asked} under cost", kind, f"a table, or {suited(data.schema)}")
    if background is None:
        instead = "background=data.train: training rows, which say what values are usual and what a change costs"
        raise Refused(f"{asked} under cost", "no background", instead)
    seen = np.asarray(background.x)
    return Table(data.schema, constraints(given, data.schema, seen), seen)
