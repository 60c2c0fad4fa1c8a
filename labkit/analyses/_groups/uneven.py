"""What each person has or has not, and how such rates differ between groups: all from counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.core import intervals, resampling
from labkit.data.split import Split
from labkit.records.predict import Predictions

NAN = float("nan")
COMPARED = ("difference", "difference_low", "difference_high", "null95", "p", "highest", "lowest")
# How tables write that a value is not there.
ABSENT = {"", "?", "-", "na", "n/a", "nan", "none given", "null", "missing", "(missing)", "unknown", "(unknown)"}


COPY, SEEN = "same inputs as another", "same inputs as a training row"


def traits(
    p: Predictions, split: Split | None, labels: Mapping[str, int], train: Predictions | None, usual: Split | None
) -> dict[str, np.ndarray]:
    """For each thing that the data can tell: (n,) whether each person has it.

    Args:
        train: the training people, whose rows those of another part may repeat.
        usual: the split whose median text or image others are compared with.
    """
    found = {f"label {name}": p.y == index for name, index in labels.items()} if p.has_truth else {}
    missing = None if split is None else _missing(split)
    if missing is not None:
        found["a value is missing"] = missing
    if p.row is not None and p.count is None:
        _, kind, times = np.unique(p.row, return_inverse=True, return_counts=True)
        found[COPY] = times[kind] > 1
        if train is not None and train.row is not None:
            found[SEEN] = np.isin(p.row, train.row)
    for modality, (name, size) in SIZES.items():
        if split is not None and usual is not None and split.schema.modality == modality:
            found[name] = size(split.x) > np.median(size(usual.x))
    return found


def _words(x: np.ndarray) -> np.ndarray:
    return np.count_nonzero(x, axis=1)


def _light(x: np.ndarray) -> np.ndarray:
    return np.asarray(x.reshape(len(x), -1).mean(1, dtype=np.float64))


SIZES = {"text": ("longer than the median text", _words), "image": ("brighter than the median image", _light)}


def _missing(split: Split) -> np.ndarray | None:
    """Whether a person's row lacks a value; None where no column of the table could say so."""
    if split.schema.modality != "tabular":
        return None
    told, lacks = False, np.zeros(len(split), bool)
    for column, feature in zip(split.x.T, split.schema.features):
        absent = [i for i, name in enumerate(feature.categories) if name.strip().casefold() in ABSENT]
        hole = np.isin(column, absent) if feature.kind == "categorical" else np.isnan(column)
        told |= bool(absent) or bool(hole.any())
        lacks |= hole
    return lacks if told else None


def compared(
    hits: np.ndarray, n: np.ndarray, ranked: np.ndarray, replicates: int, generator: np.random.Generator
) -> dict[str, Any]:
    """The largest difference of ranked groups' rates, its interval, and what groups made at random give."""
    at = np.flatnonzero(ranked)
    if len(at) < 2:
        return dict.fromkeys(COMPARED, NAN) | {"highest": -1, "lowest": -1}
    own, of = hits[at], n[at]
    value = own / of
    low, high = intervals.largest_difference(own, of)
    table = np.column_stack([own, of - own]).astype(np.int64)
    null = resampling.permuted_tables(table, replicates, generator)[:, :, 0] / of
    if len(at) == 2:
        p = resampling.exact_difference(own, of)
    else:
        p = resampling.share_as_large(resampling.surest(null, of)[0], float(resampling.surest(value, of)[0]))
    return {
        "difference": float(np.ptp(value)),
        "difference_low": low,
        "difference_high": high,
        "null95": float(np.quantile(np.ptp(null, axis=1), 0.95)),
        "p": p,
        "highest": int(at[value.argmax()]),
        "lowest": int(at[value.argmin()]),
    }


def standardized(
    table: np.ndarray, ranked: np.ndarray, replicates: int, generator: np.random.Generator
) -> dict[str, Any]:
    """Rates of ranked groups standardised to everybody's shares of a factor's levels (direct standardisation), and
    how they differ; the null changes groups within levels.

    Args:
        table: (group, level, 2) people with and without the trait.
    """
    groups = len(table)
    rate, at = np.full(groups, NAN), np.flatnonzero(ranked)
    nothing = {"adjusted": rate} | dict.fromkeys(("difference", "low", "high", "null95", "p", "covered"), NAN)
    if len(at) < 2:
        return nothing
    n = table[at].sum(2)
    levels = (n > 0).all(0)
    if not levels.any():
        return nothing | {"covered": 0.0}
    n, own = n[:, levels], table[at][:, levels]
    weight = n.sum(0) / n.sum()
    each = own[:, :, 0] / n
    value = each @ weight
    draws = generator.binomial(n, each, (replicates, *n.shape)) / n @ weight
    low, high = resampling.largest_difference(draws, value)
    null = np.zeros((replicates, len(at)))
    for level, share in enumerate(weight):
        dealt = resampling.permuted_tables(own[:, level], replicates, generator)[:, :, 0]
        null += share * dealt / n[:, level]
    rate[at] = value
    difference = float(np.ptp(value))
    return {
        "adjusted": rate,
        "difference": difference,
        "low": low,
        "high": min(high, 1.0),
        "null95": float(np.quantile(np.ptp(null, axis=1), 0.95)),
        "p": resampling.share_as_large(np.ptp(null, axis=1), difference),
        "covered": float(n.sum() / table.sum()),
    }


def unlike(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Pearson's chi-square of (..., groups) counts; infinite where somebody is of a group that is not expected."""
    gap = (observed - expected) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(gap == 0, 0.0, gap / expected).sum(-1))


def against(n: np.ndarray, share: np.ndarray, replicates: int, generator: np.random.Generator) -> float:
    """How often samples from known shares are at least as unlike them as the observed counts (multinomial draws)."""
    if np.isnan(share).any() or not n.sum():
        return NAN
    total = int(n.sum())
    drawn = generator.multinomial(total, share, replicates)
    return resampling.share_as_large(unlike(drawn, total * share), float(unlike(n, total * share)))


def shifted(parts: np.ndarray, replicates: int, generator: np.random.Generator) -> tuple[float, float]:
    """Of (2, groups) counts: p that two samples from one source are as unlike, and the distance of their shares."""
    there = parts[:, parts.sum(0) > 0].astype(np.int64)
    if not there.size or not there.sum(1).all():
        return NAN, NAN
    expected = there.sum(1, keepdims=True) * there.sum(0) / there.sum()
    null = resampling.permuted_tables(there, replicates, generator)
    p = resampling.share_as_large(unlike(null, expected).sum(1), float(unlike(there, expected).sum()))
    share = there / there.sum(1, keepdims=True)
    return p, float(np.abs(share[0] - share[1]).sum() / 2)
