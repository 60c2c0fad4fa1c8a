"""Audits of groups that are alike, and of groups that are not: how often something is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

import labkit as lk
from labkit.core import power, resampling

METRICS = ("selection_rate", "accuracy", "true_positive_rate", "false_positive_rate", "precision")
FEATURES, GROUPS, PEOPLE = 4, 10, 4000
GAPS, EACH = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3), (100, 300, 1000, 3000, 5000)
REPLICATES = 1000
# Criteria that any true difference at all would break.
STRICT = {"disparity": {"tolerance": 0.0}, "equalized_odds": {"tolerance": 0.0}, "four_fifths": {"ratio": 1.0}}
STRICT |= {"worst_group": {"distance": 0.0}}


def people(n: int, generator: np.random.Generator, rare: bool = False) -> lk.Predictions:
    """Answers that have nothing to do with the groups: 4 features of 10 groups of unequal sizes. Forty in a hundred are
    picked; where that is ``rare`` about ten."""
    share = np.linspace(1, 3, GROUPS)
    y = generator.random(n) < 0.4
    label = generator.random(n) < (np.where(y, 0.22, 0.02) if rare else np.where(y, 0.7, 0.2))
    names = [f"g{k}" for k in range(GROUPS)]
    by = {f"feature {i}": generator.choice(names, n, p=share / share.sum()) for i in range(FEATURES)}
    frame = pd.DataFrame({"y": y * 1, "label": label * 1, **by})
    return lk.Predictions.from_frame(frame, y="y", label="label", groups=list(by))


def alike(runs: int, rare: bool = False, n: int = PEOPLE, first: int = 0) -> dict[str, int]:
    """In how many audits of 200 subgroups without any difference, with seeds from ``first`` on, something is said to
    differ."""
    false: Counter[str] = Counter()
    for run in range(first, first + runs):
        p = people(n, resampling.stream(run, "alike"), rare)
        audit = lk.audit_groups(p, METRICS, by=sorted(p.groups), positive=1, replicates=REPLICATES, seed=run)
        said = {f.check for f in lk.check(audit) if f.status == "does_not_meet"}
        strict = lk.check(audit, only=list(STRICT), thresholds=STRICT)
        false.update(f"does not meet: {check}" for check in said)
        false.update({f"tolerance 0: {f.check}" for f in strict if f.status == "does_not_meet"})
        false["p after Holm's correction below 0.05"] += bool((audit.p_holm < 0.05).any())
        false["some p below 0.05, uncorrected"] += bool((audit.p < 0.05).any())
        false["an interval of a largest difference above 0"] += bool((audit.difference_low > 0).any())
    return dict(false)


@dataclass(frozen=True)
class Found:
    """How often a true gap was found: ``two`` groups alone, and one of ``ten`` in an audit of 20 comparisons."""

    each: int
    base: float
    gap: float
    two: float
    ten: float
    promised: bool


def curves(
    runs: int, each: tuple[int, ...] = EACH, gaps: tuple[float, ...] = GAPS, base: float = 0.3
) -> Iterator[Found]:
    """The share of audits in which a gap is beyond chance, by its size and the people in each group; at the end the gap
    that ``detectable`` promises to find four times in five."""
    for n in each:
        least = float(power.detectable_difference(base, n, n))
        for gap in (*gaps, least):
            g = resampling.stream(0, "power", str((n, gap)))
            two = np.mean([_two(n, base, gap, g) < 0.05 for _ in range(runs)])
            ten = np.mean([_ten(n, base, gap, g) < 0.05 / 20 for _ in range(max(1, runs // 4))])
            yield Found(n, base, gap, float(two), float(ten), gap == least)


def _two(n: int, base: float, gap: float, g: np.random.Generator) -> float:
    return resampling.exact_difference(g.binomial(n, [base, base + gap]), np.array([n, n]))


def _ten(n: int, base: float, gap: float, g: np.random.Generator) -> float:
    """p of ten groups of which one differs, as an audit has it."""
    of = np.full(GROUPS, n)
    hits = g.binomial(of, base + gap * (np.arange(GROUPS) == 0))
    null = resampling.permuted_tables(np.column_stack([hits, of - hits]), REPLICATES, g)[:, :, 0] / of
    return resampling.share_as_large(resampling.surest(null, of)[0], float(resampling.surest(hits / of, of)[0]))


def confirmed_in_noise(runs: int, n: int = 600) -> int:
    """In how many searches of people whose errors have no pattern a slice is confirmed."""
    false = 0
    for run in range(runs):
        g = resampling.stream(run, "slices")
        frame = pd.DataFrame({name: g.choice(list("abcd"), n) for name in ("job", "city", "school")})
        frame = frame.assign(age=g.integers(18, 80, n), debt=g.normal(size=n), y=g.integers(0, 2, n))
        frame = frame.assign(label=np.where(g.random(n) < 0.2, 1 - frame.y, frame.y))
        p = lk.Predictions.from_frame(frame, y="y", label="label")
        found = lk.find_slices(p, lk.data.from_frame(frame, y="y", drop=["label"]), depth=2, seed=run, replicates=100)
        false += bool(found.confirmed.any())
    return false
