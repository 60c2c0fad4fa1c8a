from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value, share
from labkit.records.distribution_shift import DistributionShift
from labkit.records.finding import Finding, FindingStatus


def same_distribution(
    record: DistributionShift,
    *,
    apart: Annotated[float, Range(0, 3), "how far apart a feature may be: standard deviations, or share of rows"] = 0.2,
    told: Annotated[float, Range(0.5, 1), "the AUC with which a learner may tell test from training rows"] = 0.6,
    shares: Annotated[float, Range(0, 1), "how far a class's share may move"] = 0.05,
    unseen: Annotated[float, Range(0, 1), "the share of test rows, or words, that training has not shown"] = 0.01,
    alpha: Annotated[
        float, Range(0.0001, 0.2, log=True), "p, corrected for all that is compared, beyond chance"
    ] = 0.01,
) -> Iterable[Finding]:
    """Whether test data are like training data: features, all together, classes, and what training has not shown.

    It does not meet it where a difference is beyond chance and its interval lies above what is allowed; it meets it where
    every interval lies within, or nothing is beyond chance; else it is inconclusive. Each of these four has a quarter of
    ``alpha``, so that all of them together accuse like parts no more often.
    """
    about = {"apart": apart, "told": told, "shares": shares, "unseen": unseen, "alpha": alpha}
    kinds = (_features, _together, _classes, _unseen)
    for kind in kinds:
        found = kind(record, about | {"alpha": alpha / len(kinds)})
        yield Finding(check="same_distribution", n=record.n_test, thresholds=about, **found)


def _judged(
    size: np.ndarray, low: np.ndarray, high: np.ndarray, p: np.ndarray, most: float, alpha: float
) -> tuple[FindingStatus, np.ndarray]:
    """The status, and which differences are surely above."""
    known = ~np.isnan(low)
    above = known & (p < alpha) & (low > most)
    beyond = (p < alpha) & (~known | (high > most))
    return "does_not_meet" if above.any() else "inconclusive" if beyond.any() else "meets", above


def _distance(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interval of a difference's size."""
    return np.where((low <= 0) & (high >= 0), 0.0, np.minimum(abs(low), abs(high))), np.maximum(abs(low), abs(high))


def _features(record: DistributionShift, about: dict[str, float]) -> dict[str, Any]:
    size = record.away
    low, high = (np.where(np.isinf(size), size, end) for end in _distance(record.low, record.high))
    status, above = _judged(size, low, high, record.p, about["apart"], about["alpha"])
    at = int(np.where(above, size, -1.0).argmax() if above.any() else size.argmax())
    named = _listed(record.features, np.flatnonzero(above)[np.argsort(-size[above])])
    unit = "standard deviations" if record.numeric[at] else "of the rows"
    one = number(float(record.difference[at]), float(record.low[at]), float(record.high[at]))
    by = "having one value in each part, and not the same" if np.isinf(size[at]) else f"by {one} {unit}"
    says = f"{record.features[at]} differs most, {by} ({p_value(float(record.p[at]))} after correction)."
    if above.any():
        far = int((above & record.numeric & (size > 1)).sum())
        says = (
            f"{int(above.sum())} of {len(above)} features differ: {named}; {far} by more than a standard deviation. "
            + says
        )
    return {
        "status": status,
        "says": says,
        "estimate": _known(record.difference[at]),
        "low": _known(record.low[at]),
        "high": _known(record.high[at]),
        "subject": "features",
        "criterion": f"features at most {about['apart']:g} apart",
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _together(record: DistributionShift, about: dict[str, float]) -> dict[str, Any]:
    status, _ = _judged(record.auc, record.auc_low, record.auc_high, record.auc_p, about["told"], about["alpha"])
    at = int(record.auc.argmax())
    ends = number(float(record.auc[at]), float(record.auc_low[at]), float(record.auc_high[at]))
    says = (
        f"Test rows are told from training rows by {record.learners[at]} on {record.layer} with an AUC of {ends} "
        f"({p_value(float(record.auc_p[at]))} after correction), where 0.5 is chance; mean discrepancy "
        f"{p_value(record.discrepancy_p)}."
    )
    return {
        "status": status,
        "says": says,
        "estimate": float(record.auc[at]),
        "low": float(record.auc_low[at]),
        "high": float(record.auc_high[at]),
        "subject": "all features together",
        "criterion": f"an AUC of at most {about['told']:g}",
    }


def _classes(record: DistributionShift, about: dict[str, float]) -> dict[str, Any]:
    criterion = f"shares of classes at most {about['shares']:g} apart"
    moved = record.test_share - record.train_share
    if np.isnan(record.share_p).all():
        return {
            "status": "not_measured",
            "says": "not measured because there are no labels.",
            "subject": "classes",
            "criterion": criterion,
        }
    low, high = _distance(record.share_low, record.share_high)
    status, _ = _judged(np.abs(moved), low, high, record.share_p, about["shares"], about["alpha"])
    at = int(np.abs(moved).argmax())
    says = (
        f"{record.classes[at]} is {share(float(record.train_share[at]))} in training and {share(float(record.test_share[at]))} "
        f"in test: {number(float(moved[at]), float(record.share_low[at]), float(record.share_high[at]))} "
        f"({p_value(float(record.share_p[at]))} after correction)."
    )
    return {
        "status": status,
        "says": says,
        "estimate": float(moved[at]),
        "low": float(record.share_low[at]),
        "high": float(record.share_high[at]),
        "subject": "classes",
        "criterion": criterion,
    }


def _unseen(record: DistributionShift, about: dict[str, float]) -> dict[str, Any]:
    of = record.beyond / record.n_test
    size, low, high, p = (np.append(a, b) for a, b in zip(
        (of, record.beyond_low, record.beyond_high, record.beyond_p), (*record.words, record.words_p)
    ))  # fmt: skip
    names = (*record.features, "words")
    status, above = _judged(size, low, high, np.nan_to_num(p, nan=1.0), about["unseen"], about["alpha"])
    at = int(np.nanargmax(np.where(above, size, -1.0) if above.any() else np.nan_to_num(size)))
    ends = f"{size[at]:.2%}, interval {low[at]:.2%} to {high[at]:.2%}"
    what = "words in test texts" if at == len(record.features) else f"test rows by {names[at]}"
    says = f"Most unseen: {ends} of {what} ({p_value(float(p[at]))} after correction)."
    if above.any():
        says = f"Beyond what training has shown: {_listed(names, np.flatnonzero(above))}. " + says
    return {
        "status": status,
        "says": says,
        "estimate": float(size[at]),
        "low": float(low[at]),
        "high": float(high[at]),
        "subject": "values not seen in training",
        "criterion": f"at most {about['unseen']:g} of the rows, beyond chance",
    }


def _listed(names: Sequence[str], at: np.ndarray) -> str:
    more = f" and {len(at) - 6} more" if len(at) > 6 else ""
    return ", ".join(names[i] for i in at[:6]) + more
