"""Whether several attribution methods tell the same story of the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from labkit.records.finding import Finding
from labkit.report.evidence import Outcome

TOP = 0.1


def agreement(explained: Sequence[Outcome]) -> tuple[Finding, ...]:
    """One finding for each two methods that explained the same examples and targets.

    Says the mean over examples of the rank correlation of absolute attributions, where the input is not at its
    baseline (elsewhere many methods give zero, and would agree for nothing), and how many of each method's strongest
    tenth of entries are shared. Source: Krishna et al., 2022, arXiv 2202.01602.
    """
    records: list[Any] = [o.record for o in explained]
    return tuple(
        _pair(a, b)
        for a, b in combinations(records, 2)
        if np.array_equal(a.x, b.x) and np.array_equal(a.target, b.target)
    )


def _pair(a: Any, b: Any) -> Finding:
    from scipy.stats import spearmanr

    ranks, shared = [], []
    for i in range(len(a)):
        support = (a.x[i] != a.baseline[i]).ravel()
        first, second = (np.abs(e.attribution[i]).ravel()[support] for e in (a, b))
        if support.sum() < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
            continue
        ranks.append(float(spearmanr(first, second).statistic))
        k = max(1, int(TOP * support.sum()))
        shared.append(len(set(np.argsort(-first)[:k]) & set(np.argsort(-second)[:k])) / k)
    pair = f"{a.method} and {b.method}"
    if not ranks:
        return Finding(check="agreement", status="not_measured", subject=pair, says=f"{pair}: no example to compare.")
    mean = float(np.mean(ranks))
    return Finding(
        check="agreement",
        status="info",
        subject=pair,
        n=len(ranks),
        estimate=mean,
        says=f"{pair}: mean rank correlation {mean:.2f} (from {min(ranks):.2f} to {max(ranks):.2f}) over {len(ranks)} "
        f"examples; {100 * np.mean(shared):.0f} % of the strongest tenth of entries are shared.",
    )
