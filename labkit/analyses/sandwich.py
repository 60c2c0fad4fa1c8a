"""Certificates beside attacks, from their records alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labkit.analyses._guard import Run
from labkit.core.record import Record
from labkit.core.refused import Refused
from labkit.records.certify import Certificate
from labkit.records.robustness_curve import RobustnessCurve
from labkit.records.sandwich import Sandwich

ASKED = "sandwich"


def sandwich(curve: RobustnessCurve, *certificates: Certificate) -> Sandwich:
    """Robust accuracy from both sides: at least what certificates prove, at most what attacks leave.

    Between the two lie rows of which nothing is known. A row that an attack broke within its certified radius makes the
    record contradicted: certificate or attack is wrong, and neither figure can be used.

    Raises:
        Refused: records of another kind, of other rows, of another model or threat model; none certified; radii of a
            smoothed model, which is not the one that was attacked.
    """
    for record, kind in ((curve, RobustnessCurve), *((c, Certificate) for c in certificates)):
        if not isinstance(record, kind):
            raise Refused(ASKED, f"a {type(record).__name__}", "a robustness curve, then certificates")
    if not certificates:
        raise Refused(ASKED, "no certificate", "a robustness curve and what labkit.certify gives on the same rows")
    for certificate in certificates:
        _check_same(curve, certificate)
    run = Run(ASKED, {"curve": curve.digest, "certificates": [c.digest for c in certificates]})
    source = curve.provenance
    made = Sandwich(
        provenance=replace(run.provenance(), model=source.model, data=source.data),
        warnings=tuple(dict.fromkeys(w for r in (curve, *certificates) for w in r.warnings)),
        norm=curve.norm,
        eps=curve.eps,
        attacks=curve.attacks,
        certificates=tuple(c.spec for c in certificates),
        confidence=np.array([c.confidence for c in certificates]),
        radius=np.stack([c.radius for c in certificates]),
        breaking=curve.breaking_eps,
        broken_by=curve.broken_by,
        correct=curve.correct,
    )
    return _contradicted(made)


def _check_same(curve: RobustnessCurve, certificate: Certificate) -> None:
    asked = f"{ASKED} of {certificate.spec}"
    given = []
    if certificate.norm != curve.norm:
        given.append(f"norm {certificate.norm} beside {curve.norm}")
    if _digest(certificate, "model") != _digest(curve, "model"):
        given.append("another model's weights")
    if _digest(certificate, "data") != _digest(curve, "data") or not np.array_equal(certificate.y, curve.y):
        given.append("other rows")
    if given:
        instead = "a curve and certificates of one model, on the same rows, under one norm"
        raise Refused(asked, ", ".join(given), instead)
    if certificate.of != "the model":
        whose = f"radii of {certificate.of}, where the attacks were on the model itself"
        raise Refused(asked, whose, "crown or interval_bounds, which certify the model itself")


def _digest(record: Record, what: str) -> str:
    found = getattr(record.provenance, what).get("sha256")
    return "" if found is None else str(found)


def _contradicted(made: Sandwich) -> Sandwich:
    """Two ways of measuring that disagree make the record say so."""
    if not made.violated.any():
        return made
    at, row = (int(i) for i in np.argwhere(made.violated)[0])
    reason = (
        f"{int(made.violated.any(0).sum())} rows were broken within their certified radius (row {row} by "
        f"{made.broken_by[row]} at eps {made.breaking[row]:g}, certified to {made.radius[at, row]:g} by "
        f"{made.certificates[at]}): certificate or attack is wrong, and neither figure can be used."
    )
    return replace(made, status="contradicted", reason=reason)
