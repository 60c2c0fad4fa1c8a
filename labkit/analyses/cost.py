"""What did it take?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.core.record import Provenance, Record
from labkit.core.refused import Refused
from labkit.records.cost import Cost
from labkit.records.train import Training

NUMBERS = ("forwards", "backwards", "flops", "seconds", "peak_memory", "joules", "uncounted")


def cost(*records: Record) -> Cost:
    """Passes, operations, seconds, greatest memory and estimated energy of each record: of analyses, and of training
    (``labkit.zoo.curves(name)`` for a reference model).

    Every analysis counts its own work while it runs (``record.provenance.took``); nothing is measured again. Operations are
    those of matrix products and convolutions; sums, activations and what one example costs beyond them are left out.

    Raises:
        Refused: no record, or something else.
    """
    if not records or not all(isinstance(r, Record) for r in records):
        given = ", ".join(type(r).__name__ for r in records) or "nothing"
        raise Refused("the cost of results", given, "records, such as those of labkit.predict or labkit.explain")
    took = [_took(r) for r in records]
    table: dict[str, Any] = {name: np.array([float(t.get(name, np.nan)) for t in took]) for name in NUMBERS}
    known = any(took)
    first = records[0].provenance
    return Cost(
        provenance=Provenance(
            analysis="cost",
            version=first.version,
            data={str(i): {"record": r.digest} for i, r in enumerate(records)},
            packages=first.packages,
        ),
        status="measured" if known else "not_measured",
        reason="" if known else "these records do not say what they took; those of an audit have it in times.json",
        results=tuple(_named(r) for r in records),
        energy=tuple(str(t.get("energy", "")) for t in took),
        **table,
    )


def _took(record: Record) -> Mapping[str, Any]:
    if not isinstance(record, Training):
        return record.provenance.took
    told = {name: getattr(record, name) for name in ("forwards", "backwards", "peak_memory", "joules", "energy")}
    return {**record.provenance.took, **told, "seconds": record.provenance.seconds}


def _named(record: Record) -> str:
    made = record.provenance
    about = made.model.get("name") or made.data.get("name")
    return f"{made.analysis} of {about}" if about else made.analysis
