from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.finding import Finding, FindingStatus
from labkit.records.leakage import APART, COPIES, NEAR, ORDER, SHARES, WITHIN, Leakage


def no_leakage(
    record: Leakage,
    *,
    most: Annotated[float, Range(0, 1), "the share of rows that may have been seen"] = 0.001,
    alone: Annotated[float, Range(0.5, 1), "the AUC from which one column tells the label too well"] = 0.99,
    apart: Annotated[float, Range(0.5, 1), "the AUC with which one column may tell test from training rows"] = 0.75,
    alpha: Annotated[
        float, Range(0.0001, 0.2, log=True), "p, corrected for all that is compared, beyond chance"
    ] = 0.01,
) -> Iterable[Finding]:
    """Whether test data are new to the training data, one finding a kind of leak.

    Equal rows do not meet it where chance cannot have made them: beyond what rows dealt anew show, or where columns are
    too many for a coincidence and labels agree. Near copies: the exact interval of their share lies above ``most`` and
    there are more than a smooth fall of distances makes. Ids and times: a share above ``most``. Columns: beyond the
    threshold, and beyond chance after Holm's correction. Else what lies above is inconclusive.
    """
    about = {"most": most, "alone": alone, "apart": apart, "alpha": alpha}
    for i, kind in enumerate(record.leak):
        subject = f"{kind}: {record.subject[i]}" if record.subject[i] not in ("", "inputs") else kind
        criterion = f"at most {most:.3g} of the rows" if kind in SHARES else f"an AUC of at most {alone:g}"
        if kind == APART:
            criterion = f"an AUC of at most {apart:g}"
        if record.missing[i]:
            yield Finding(
                check="no_leakage",
                status="not_measured",
                says=f"not measured because {record.missing[i]}.",
                subject=subject,
                criterion=criterion,
                thresholds=about,
            )
            continue
        yield Finding(
            check="no_leakage",
            status=_status(record, i, most, alone, apart, alpha),
            says=_says(record, i),
            estimate=float(record.value[i]),
            low=float(record.low[i]),
            high=float(record.high[i]),
            n=int(record.of[i]),
            criterion=criterion,
            subject=subject,
            thresholds=about,
        )


def _status(record: Leakage, i: int, most: float, alone: float, apart: float, alpha: float) -> FindingStatus:
    kind, value, low, p = record.leak[i], record.value[i], record.low[i], record.p[i]
    if kind == WITHIN:
        return "info"
    if kind == ORDER:
        return "does_not_meet" if record.subject[i] and p < alpha else "info"
    if kind == APART:
        above, sure = value > apart, low > apart and p < alpha
    elif kind in SHARES:
        above, sure = value > most, p < alpha and (kind != NEAR or low > most)
    else:
        above, sure = value > alone, p < alpha
    return "does_not_meet" if above and sure else "inconclusive" if above else "meets"


def _says(record: Leakage, i: int) -> str:
    kind, ends = record.leak[i], (float(record.value[i]), float(record.low[i]), float(record.high[i]))
    what, note = record.subject[i], f" ({record.note[i]})" if record.note[i] else ""
    if kind in SHARES:
        rows = "training rows" if kind not in (COPIES, NEAR) and record.of[i] == record.n_train else "test rows"
        does = {
            COPIES: "also stand in the training data",
            NEAR: "nearly equal a training row",
            WITHIN: "have a twin there",
        }.get(kind, f"have a {what} that training rows have")
        if kind not in (COPIES, NEAR, WITHIN) and rows == "training rows":
            does = f"are later by {what} than the first test row"
        told = f"{record.hits[i]} of {record.of[i]:,} {rows} ({ends[0]:.2%}, interval {ends[1]:.2%} to {ends[2]:.2%}) {does}"
        beside = ""
        if kind in (COPIES, NEAR) and not np.isnan(record.usual[i]):
            beside = f"; a clean split would show {record.usual[i]:.2%} ({p_value(float(record.p[i]))})"
        return f"{told}{beside}{note}."
    if kind == ORDER:
        begin = f"The row's place in the training data tells a label with an AUC of {number(*ends)}"
        return f"{begin}, {f'and {what} tells the place' if what else 'which no column shows a model'}."
    of = "test from training rows" if kind == APART else "the label"
    begin = "whether a value is missing in " if "missing" in kind else ""
    return (
        f"{begin}{what} by itself tells {of} with an AUC of {number(*ends, digits=3)} on {record.of[i]:,} rows"
        f"{note}; {p_value(float(record.p[i]))} after correction."
    )
