from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.intervals import clopper_pearson, mean
from labkit.core.method import Range
from labkit.core.words import counted, lead, number
from labkit.records.finding import Finding, FindingStatus
from labkit.records.reasons import Reasons

CHECK = "reasons_hold"
CHANCE = 0.01  # of any person's contribution being called above 0 by chance, over all people and prohibited columns


def reasons_hold(
    record: Reasons,
    *,
    prohibited: Annotated[float, Range(0, 1), "share of people with a prohibited basis among their largest"] = 0.0,
    overlap: Annotated[float, Range(0, 1), "least overlap of the lists from two halves of the draws"] = 0.5,
) -> Iterable[Finding]:
    """Whether lists of reasons can be given: they leave no prohibited basis out, matter more than as many other columns, and
    come out again.

    * prohibited basis: for how many people one is among the largest contributions. Judged by the exact interval of the
      share; counted against the model are those whose contribution is above 0 beyond chance, corrected for all people.
      That nobody has one can only be met by a model that answers the same whatever the basis is.
    * sufficiency: how much more of the population's values in place of the reasons turn the answer than in place of as many
      other columns. Student's interval over people.
    * stability: the overlap of the lists from two halves of the draws. Student's interval over people. More ``pairs`` make
      lists stable; this one tells of the draws, not of the model.
    """
    yield _prohibited(record, prohibited)
    yield _sufficiency(record)
    yield _stability(record, overlap)


def _prohibited(record: Reasons, tolerance: float) -> Finding:
    n, subject = len(record), "prohibited basis"
    if not record.prohibited:
        says = "no column is named as a prohibited basis."
        return Finding(check=CHECK, status="not_applicable", says=says, subject=subject, n=n)
    criterion = f"a prohibited basis is among the largest contributions of at most {tolerance:g} of people"
    barred = [record.features.index(name) for name in record.prohibited]
    value, error = record.contribution[:, barred], record.standard_error[:, barred]
    beyond = _beyond(value.size, record.provenance.options["pairs"])
    sure = int((record.hidden & (value > beyond * error).any(1)).sum())
    hidden = int(record.hidden.sum())
    low, high = float(clopper_pearson(sure, n)[0]), float(clopper_pearson(hidden, n)[1])
    unused = bool(n) and not value.any()
    status: FindingStatus = "meets" if high <= tolerance or unused else "inconclusive"
    if low > tolerance:
        status = "does_not_meet"
    held = f"{'one of ' if len(barred) > 1 else ''}{', '.join(record.prohibited)}"
    says = f"{held} among the largest contributions of {counted(hidden, n, low, high, 'people')}"
    says += ", and moves no score." if unused else f"; of {sure} surely." if hidden else "."
    if record.proxy:
        says += f" Reasons given that tell of a prohibited basis: {', '.join(dict.fromkeys(record.proxy))}."
    return _finding(status, says, subject, criterion, n, (hidden / n, low, high), prohibited=tolerance)


def _beyond(tests: int, draws: int) -> float:
    """How many standard errors none of so many means is above 0 by chance (Student's t, corrected by Bonferroni)."""
    from scipy.special import stdtrit

    return float(stdtrit(draws - 1, 1 - CHANCE / max(tests, 1)))


def _sufficiency(record: Reasons) -> Finding:
    more = (record.sufficiency - record.random)[~np.isnan(record.sufficiency - record.random)]
    criterion = "reasons turn more answers than as many other columns"
    if len(more) < 2:
        says = "not measured because fewer than two people have reasons and as many other columns."
        return _finding("not_measured", says, "sufficiency", criterion, len(more))
    low, high = mean(more)
    status: FindingStatus = "meets" if low > 0 else "does_not_meet" if high < 0 else "inconclusive"
    says = (
        f"in the share of the population whose values, put in their place, turn the answer, the reasons are "
        f"{lead(float(more.mean()), low, high)} of as many other columns, over {len(more)} people."
    )
    return _finding(status, says, "sufficiency", criterion, len(more), (float(more.mean()), low, high))


def _stability(record: Reasons, least: float) -> Finding:
    n, criterion = len(record), f"two halves of the draws share at least {least:g} of the reasons that either names"
    if n < 2:
        says = "not measured because there are fewer than two people."
        return _finding("not_measured", says, "stability", criterion, n)
    low, high = mean(record.stability)
    status: FindingStatus = "meets" if low >= least else "does_not_meet" if high < least else "inconclusive"
    rest = " Ask for more pairs." if status == "does_not_meet" else ""
    value = float(record.stability.mean())
    says = f"two halves of the draws share {number(value, low, high)} of the reasons, over {n} people.{rest}"
    return _finding(status, says, "stability", criterion, n, (value, low, high), overlap=least)


def _finding(
    status: FindingStatus,
    says: str,
    subject: str,
    criterion: str,
    n: int,
    value: tuple[float, float, float] | None = None,
    **thresholds: Any,
) -> Finding:
    estimate, low, high = value or (None, None, None)
    return Finding(
        check=CHECK,
        status=status,
        says=says,
        subject=subject,
        criterion=criterion,
        n=n,
        estimate=estimate,
        low=low,
        high=high,
        thresholds=thresholds,
    )
