"""Whether some groups lose more than others under natural shifts, beside what groups made at random would show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._guard import Run
from labkit.core import intervals, resampling
from labkit.core.refused import Refused
from labkit.records.predict import Predictions

NAN = float("nan")
NUMBERS = ("difference", "difference_low", "difference_high", "null95", "p")


def groupings(run: Run, p: Predictions, by: Sequence[str | tuple[str, ...]] | None) -> list[Grouping]:
    """The sensitive features asked for; of all that the data have, those with few enough groups."""
    if by is not None:
        return [grouping(run.analysis, p, one) for one in ([by] if isinstance(by, str) else by)]
    found = []
    for name in p.groups:
        try:
            found.append(grouping(run.analysis, p, name))
        except Refused as error:
            run.warn(f"groups by {name} are left out: {error.given}")
    return found


def compared(lost: np.ndarray, features: Sequence[Grouping], least: int, replicates: int, seed: int) -> dict[str, Any]:
    """The record's fields on groups. ``lost``: (n,) each row's drop."""
    parts = [_one(lost, f, least, replicates, resampling.stream(seed, "shifted groups", f.name)) for f in features]
    starts = np.cumsum([0, *(len(f.groups) for f in features)])[:-1]
    numbers = {name: np.array([part[name] for part in parts], float) for name in NUMBERS}
    ends = {
        name: np.array([part[name] + start if part[name] >= 0 else -1 for part, start in zip(parts, starts)], np.int64)
        for name in ("highest", "lowest")
    }
    member = [np.where(f.code < 0, -1, f.code + start) for f, start in zip(features, starts)]
    return {
        "features": tuple(f.name for f in features),
        "group": np.array([name for f in features for name in f.groups], str),
        "feature_of": np.repeat(np.arange(len(features)), [len(f.groups) for f in features]),
        "member": np.array(member, np.int64).reshape(len(features), len(lost)),
        "ranked": np.concatenate([part["ranked"] for part in parts]) if parts else np.zeros(0, bool),
        "p_holm": intervals.holm(numbers["p"]),
        **numbers,
        **ends,
    }


def _one(
    lost: np.ndarray, feature: Grouping, least: int, replicates: int, generator: np.random.Generator
) -> dict[str, Any]:
    ranked = feature.counts() >= max(least, 1)
    at = np.flatnonzero(ranked)
    if len(at) < 2:
        return dict.fromkeys(NUMBERS, NAN) | {"ranked": ranked, "highest": -1, "lowest": -1}
    rows = np.isin(feature.code, at)
    code, values = np.searchsorted(at, feature.code[rows]), lost[rows]
    sizes = np.bincount(code)
    drops = np.bincount(code, values) / sizes
    draws = np.column_stack([_resampled(values[code == g], replicates, generator) for g in range(len(at))])
    together = np.zeros(len(code), np.int64)
    null = np.array(
        [np.bincount(resampling.permuted(code, together, generator), values) / sizes for _ in range(replicates)]
    )
    low, high = resampling.largest_difference(draws, drops)
    return {
        "ranked": ranked,
        "highest": int(at[drops.argmax()]),
        "lowest": int(at[drops.argmin()]),
        "difference": float(np.ptp(drops)),
        "difference_low": low,
        "difference_high": high,
        "null95": float(np.quantile(np.ptp(null, axis=1), 0.95)),
        "p": resampling.share_as_large(resampling.surest(null, sizes)[0], float(resampling.surest(drops, sizes)[0])),
    }


def _resampled(values: np.ndarray, replicates: int, generator: np.random.Generator) -> np.ndarray:
    """(replicates,) means of rows drawn with replacement, from the counts of their few different values."""
    levels, counts = np.unique(values.round(9), return_counts=True)
    return resampling.bootstrap_counts(counts, replicates, generator) @ levels / len(values)
