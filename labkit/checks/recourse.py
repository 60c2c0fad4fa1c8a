from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Annotated

import numpy as np

from labkit.core.intervals import largest_difference, wilson
from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.counterfactuals import Counterfactuals
from labkit.records.finding import Finding, FindingStatus


def recourse(
    record: Counterfactuals,
    *,
    tolerance: Annotated[float, Range(0, 1), "the largest difference between groups that is acceptable"] = 0.1,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p, corrected for all pairs, beyond chance"] = 0.01,
    least: Annotated[int, Range(2, 1000), "rows that a group must have to be compared"] = 10,
) -> Iterable[Finding]:
    """Whether as large a share of each group is left without a counterfactual, for each sensitive feature.

    Of rows that lack the target (B. Ustun, A. Spangher and Y. Liu, 2019, arXiv 1809.06514, ask the same of linear models).
    Fisher's exact test of every pair, corrected by Bonferroni for all pairs of all features; the interval of the largest
    difference is Newcombe's, corrected likewise. Beside it stands the difference that as many rows would show with a
    probability of 0.8.
    """
    if not record.groups:
        says = "the data have no sensitive feature, so nobody can say whether some have a way more often than others."
        yield Finding(check="recourse", status="not_applicable", says=says, n=len(record))
    sizes = {f: {g: int((v == g).sum()) for g in np.unique(v[v != ""])} for f, v in record.groups.items()}
    compared = {f: [g for g, n in groups.items() if n >= least] for f, groups in sizes.items()}
    tests = sum(len(groups) * (len(groups) - 1) // 2 for groups in compared.values())
    for feature, groups in compared.items():
        small = [f"{g} ({n})" for g, n in sizes[feature].items() if n < least]
        yield _one(record, feature, groups, small, tests, tolerance, alpha)


def _one(
    record: Counterfactuals,
    feature: str,
    groups: list[str],
    small: list[str],
    tests: int,
    tolerance: float,
    alpha: float,
) -> Finding:
    from scipy.stats import fisher_exact

    criterion = f"share without a way differs by at most {tolerance:g}"
    thresholds = {"tolerance": tolerance, "alpha": alpha}
    left_out = f" Too few rows to compare: {', '.join(small)}." if small else ""
    if len(groups) < 2:
        says = f"{feature}: fewer than two groups are large enough to compare.{left_out}"
        return Finding(
            check="recourse",
            status="not_measured",
            says=says,
            subject=feature,
            criterion=criterion,
            thresholds=thresholds,
        )
    of = [record.groups[feature] == g for g in groups]
    n = np.array([rows.sum() for rows in of])
    without = np.array([(record.without & rows).sum() for rows in of])
    low, high = largest_difference(without, n)
    value = float(np.ptp(without / n))
    order = np.argsort(without / n, kind="stable")
    top, bottom = int(order[-1]), int(order[0])
    p = min(fisher_exact([[without[a], n[a] - without[a]], [without[b], n[b] - without[b]]])[1] for a, b in _pairs(n))
    p = min(1.0, float(p) * tests)
    status: FindingStatus = "meets" if high <= tolerance else "inconclusive"
    if p < alpha and low > tolerance:
        status = "does_not_meet"
    says = (
        f"{feature}: at most {without[top]} of {n[top]} ({groups[top]}) and {without[bottom]} of {n[bottom]} "
        f"({groups[bottom]}) are without a way to the target, a difference of {number(value, low, high)} ({p_value(p)}, exact, "
        f"corrected for {tests} comparisons); these many rows would show a difference of "
        f"{_detectable(without, n, (top, bottom), alpha / tests):.2f} 4 times in 5.{left_out}"
    )
    return Finding(
        check="recourse",
        status=status,
        says=says,
        estimate=value,
        low=low,
        high=high,
        n=int(n.sum()),
        criterion=criterion,
        subject=feature,
        thresholds=thresholds,
    )


def _pairs(n: np.ndarray) -> list[tuple[int, int]]:
    return list(combinations(range(len(n)), 2))


def _detectable(without: np.ndarray, n: np.ndarray, pair: tuple[int, int], alpha: float) -> float:
    """The difference of two proportions that is found beyond chance with a probability of 0.8, by the normal approximation
    at the upper end of what the share of all may be."""
    from scipy.special import ndtri

    share = min(0.5, float(wilson(without.sum(), n.sum())[1]))
    each = sum(1 / n[g] for g in pair)
    return float(min(1.0, (ndtri(1 - alpha / 2) + ndtri(0.8)) * np.sqrt(share * (1 - share) * each)))
