"""Are wrong answers less confident than right ones, in every group?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.intervals import newcombe
from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.abstention import Abstention
from labkit.records.finding import Finding, FindingStatus


def knows_when_it_is_wrong(
    record: Abstention,
    *,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which an order is more than chance"] = 0.01,
    least: Annotated[int, Range(2, 1000), "errors, and rows of a group, below which nothing is concluded"] = 30,
) -> Iterable[Finding]:
    """Whether the order by confidence puts errors last more than chance does; and, by each sensitive feature, whether
    withholding the less confident half of all rows leaves more errors among a group's answers than among what is withheld.

    A group in which it does (its interval, corrected for the number of groups, lies above 0) does not meet the criterion:
    there, abstention hides the errors of others. It is met when the intervals of all groups lie below 0.
    """
    says = (
        f"mean risk {number(*record.aurc)} over all coverages on {record.n} rows ({record.errors} wrong); a confidence that "
        f"says nothing has {number(record.random)} and less than {number(record.random05)} one time in 20 "
        f"({p_value(record.p)}); the best order {number(record.best)}."
    )
    status: FindingStatus = "meets" if record.p < alpha else "does_not_meet"
    if status == "does_not_meet" and min(record.errors, record.n - record.errors) < least:
        status, says = "inconclusive", says + f" Fewer than {least} errors, or right answers, settle nothing."
    about: dict[str, Any] = {"check": "knows_when_it_is_wrong", "thresholds": {"alpha": alpha, "least": least}}
    value, low, high = record.aurc
    yield Finding(
        status=status,
        says=says,
        estimate=value,
        low=low,
        high=high,
        n=record.n,
        criterion="errors come later in the order of confidence than chance puts them",
        subject="all rows",
        **about,
    )
    for f, feature in enumerate(record.features):
        yield _groups(record, feature, np.flatnonzero(record.feature_of == f), alpha, least, about)


def _groups(
    record: Abstention, feature: str, at: np.ndarray, alpha: float, least: int, about: dict[str, Any]
) -> Finding:
    about = {
        **about,
        "subject": feature,
        "criterion": "fewer errors among a group's answers than among what is withheld",
    }
    half = int(np.argmin(np.abs(record.asked - 0.5)))
    kept, wrong = record.answered[at, half], record.mistaken[at, half]
    withheld, lost = record.size[at] - kept, record.mistaken[at, -1] - wrong
    enough = (np.minimum(kept, withheld) >= least) & (record.mistaken[at, -1] > 0)
    small = [f"{record.group[g]} (n = {record.size[g]})" for g in at[~enough]]
    told = f" Shown, not judged: {', '.join(small[:6])}{', and more' if len(small) > 6 else ''}." if small else ""
    if not enough.any():
        says = f"no group by {feature} has an error, and {least} rows both answered and withheld.{told}"
        return Finding(status="not_measured", says=says, **about)
    kept, wrong, withheld, lost = (v[enough] for v in (kept, wrong, withheld, lost))
    gap = wrong / kept - lost / withheld
    low, high = newcombe(wrong, kept, lost, withheld, 1 - alpha / len(gap))
    worst = int(low.argmax())
    if (low > 0).any():
        status: FindingStatus = "does_not_meet"
    else:
        status = "meets" if (high < 0).all() else "inconclusive"
    says = (
        f"With half of all rows answered, {record.group[at[enough]][worst]} has {wrong[worst]} errors among {kept[worst]} "
        f"answers and {lost[worst]} among {withheld[worst]} withheld, a difference of "
        f"{number(float(gap[worst]), float(low[worst]), float(high[worst]))} (interval for {len(gap)} groups at once)"
        f"{'' if len(gap) == 1 else f'; other groups by {feature} fare better'}.{told}"
    )
    n = int((kept + withheld).sum())
    return Finding(
        status=status,
        says=says,
        estimate=float(gap[worst]),
        low=float(low[worst]),
        high=float(high[worst]),
        n=n,
        **about,
    )
