"""Do two columns say the same?"""

from __future__ import annotations

from math import comb, lgamma, log
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.records.explain import Explanation
from labkit.records.finding import Finding

CHANCE = 0.005  # columns that agree are copies only where chance would rarely make any two of them agree
SHOWN = 6


def duplicated_features(
    record: Explanation,
    *,
    most: Annotated[
        float, Range(0.5, 1), "correlation in size, of values and of ranks, above which two are copies"
    ] = 0.99,
) -> Finding:
    """Columns of a table that are near-copies of each other among the explained rows.

    A model may read either of two copies, and a method may share their credit out in any way: what each gets alone says
    little, what both get together says what the column means to the model (Hooker, Mentch and Zhou, 2021, arXiv
    1905.03151, on what becomes of credit when features depend on each other).
    """
    criterion = f"no two columns correlate by more than {most:g} over the explained rows"
    about = {"most": most}
    if record.modality != "tabular" or record.x.ndim != 2:
        says = f"neighbours in {record.modality} inputs are expected to be alike; this check reads tables."
        return Finding(check="duplicated_features", status="not_applicable", says=says, criterion=criterion)
    n = len(record)
    varied = np.flatnonzero(np.ptp(record.x, axis=0) > 0)
    pairs = comb(len(varied), 2)
    if pairs and lgamma(n + 1) < log(pairs / CHANCE):
        says = f"{n} rows are too few to tell copies from chance among {len(varied)} columns; explain 10 or more."
        return Finding(
            check="duplicated_features", status="not_measured", says=says, criterion=criterion, n=n, thresholds=about
        )
    groups, largest = _groups(record.x[:, varied].astype(np.float64), most, pairs)
    told = [_told(record, varied[group]) for group in groups]
    more = f"; and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return Finding(
        check="duplicated_features",
        status="inconclusive" if told else "meets",
        says=f"over {n} rows, " + "; ".join(told[:SHOWN]) + more + ". Each one's credit alone says little."
        if told
        else f"no two of the {len(varied)} columns that vary over {n} rows are near-copies.",
        estimate=largest,
        n=n,
        criterion=criterion,
        thresholds=about,
    )


def _groups(x: np.ndarray, most: float, pairs: int) -> tuple[list[np.ndarray], float | None]:
    """Columns that are copies of one another, each group once, and the largest agreement of any two."""
    from scipy.stats import rankdata

    if not pairs:
        return [], None
    alike = np.minimum(*(np.abs(np.corrcoef(v, rowvar=False)) for v in (x, rankdata(x, axis=0))))
    np.fill_diagonal(alike, 0)
    copies = alike > most
    copies &= np.logical_and.outer(*[np.array([_chance(column) for column in x.T]) < log(CHANCE / pairs)] * 2)
    groups, left = [], set(range(len(copies)))
    for first in range(len(copies)):
        group = [j for j in range(len(copies)) if j in left and (j == first or copies[first, j])]
        if first in left and len(group) > 1:
            groups.append(np.array(group))
            left -= set(group)
    return groups, float(alike.max())


def _chance(column: np.ndarray) -> float:
    """Logarithm of the chance that shuffling a column leaves it as it is."""
    counts = np.unique(column, return_counts=True)[1]
    return sum(lgamma(c + 1) for c in counts) - lgamma(len(column) + 1)


def _told(record: Explanation, columns: np.ndarray) -> str:
    names = [record.names[c] if record.names else f"column {c}" for c in columns]
    credit = record.attribution[:, columns].astype(np.float64)
    apart = ", ".join(f"{v:.2g}" for v in np.abs(credit).mean(0))
    together = f"{np.abs(credit.sum(1)).mean():.2g}"
    return f"{' and '.join(names)} are near-copies: read their credit together, {together} in size on average (apart {apart})"
