"""Calibration in groups against each group alone, planted truth and its sound twin, and draws made another way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.metrics.expected_calibration_error import expected_calibration_error


def scored(n: int, seed: int, shift: dict[str, float], sharpen: float = 1.0) -> lk.Predictions:
    """Groups whose true log-odds lie ``shift`` above the stated ones; those of "b" are higher, as base rates differ."""
    generator = np.random.default_rng(seed)
    group = generator.choice(list(shift), n)
    z = 1.5 * generator.normal(size=n) + (group == "b")
    y = (generator.random(n) < 1 / (1 + np.exp(-z - np.vectorize(shift.get)(group)))).astype(int)
    frame = pd.DataFrame({"y": y, "s": 1 / (1 + np.exp(-z * sharpen)), "group": group})
    return lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5, groups=["group"])


def test_a_group_has_the_numbers_that_it_has_alone() -> None:
    p = scored(1500, 0, {"a": 0.0, "b": 0.4})
    found = lk.calibration(p, by="group", replicates=300)
    plain = lk.calibration(p, replicates=300)
    for name in ("brier", "ece", "ece95", "p", "miscalibration95"):
        assert getattr(found, name) == getattr(plain, name), "the whole is as without groups"
    assert plain.by_group is None
    for g, name in enumerate(found.by_group.group):
        rows = p.groups["group"] == name
        y, s = p.y[rows], p.proba[rows, 1]
        assert found.by_group.ece[g] == pytest.approx(expected_calibration_error(y, s))
        assert found.by_group.excess[g] == pytest.approx((y - s).mean())
        assert found.by_group.excess_low[g] < found.by_group.excess[g] < found.by_group.excess_high[g]
        frame = pd.DataFrame({"y": y, "s": s})
        alone = lk.calibration(lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5), replicates=300)
        assert found.by_group.ece95[g] == pytest.approx(alone.ece95, rel=0.25)
        at = np.interp(found.by_group.score[g], alone.score, alone.frequency)
        assert np.abs(found.by_group.frequency[g] - at).mean() < 0.02


def test_a_group_that_is_told_too_little_is_found_and_the_sound_twin_is_not() -> None:
    planted = lk.calibration(scored(3000, 1, {"a": 0.0, "b": 0.8}), by="group", replicates=150)
    status = {f.subject: f.status for f in lk.check(planted, only=["equal_calibration"])}
    assert status["excess by group"] == "does_not_meet"
    assert planted.by_group.group[planted.by_group.highest[0, 0]] == "b" and "more often than stated" in lk.says(
        planted
    )
    sound = lk.calibration(scored(4000, 1, {"a": 0.0, "b": 0.0}), by="group", replicates=150)
    assert "does_not_meet" not in {f.status for f in lk.check(sound, only=["equal_calibration"])}
    assert (sound.by_group.p_holm > 0.05).all()


def test_one_curve_that_is_wrong_for_all_alike_is_no_difference_between_groups() -> None:
    told, wrong = 0, 0
    for seed in range(40):
        p = scored(400, seed, {"a": 0.0, "b": 0.0}, sharpen=2.2)
        found = lk.calibration(p, by="group", replicates=100, seed=seed).by_group
        told += found.p_apart_holm.min() < 0.05
        wrong += found.p.min() < 0.05
    assert told <= 5, "5 of 100 and what 40 runs add"
    assert wrong >= 20, "each group's own error is beyond calibration"


def test_calibrated_groups_are_seldom_called_miscalibrated_and_intervals_hold_the_truth() -> None:
    told, held = 0, 0
    for seed in range(40):
        found = lk.calibration(scored(300, seed, {"a": 0.0, "b": 0.3}), by="group", replicates=100, seed=seed).by_group
        told += found.p[0] < 0.05
        held += found.excess_low[0] <= 0 <= found.excess_high[0]
    assert told <= 5 and held >= 35


def test_small_and_empty_groups_are_shown_and_not_compared(tmp_path) -> None:
    from dataclasses import replace

    from labkit.views._static import svg

    p = scored(400, 2, {"a": 0.0, "b": 0.0})
    group = p.groups["group"].astype("U8")
    group[:6], group[6:9] = "rare", ""
    other = np.where(group == "rare", "x", np.where(np.arange(400) % 2, "x", "z"))
    q = replace(p, groups={"group": group, "other": other})
    found = lk.calibration(q, by=["group", ("group", "other")], replicates=100)
    g = found.by_group
    at = list(g.group).index("rare")
    assert g.n[at] == 6 and not g.ranked[at] and np.isnan(g.p_holm[at]) and g.unknown[0] == 3
    empty = list(g.group).index("rare & z")
    assert g.n[empty] == 0 and np.isnan(g.ece[empty]) and np.isnan(g.frequency[empty]).all()
    assert lk.load(lk.save(found, tmp_path / "c.lk")).digest == found.digest
    assert len(lk.rows(found)) == len(g.group) and svg(lk.figure(found), name="f")
    none = lk.calibration(replace(p, groups={"group": np.full(400, "a")}), by="group", replicates=100)
    assert {f.status for f in lk.check(none, only=["equal_calibration"])} == {"not_measured"}
    assert lk.check(lk.calibration(p, replicates=100), only=["equal_calibration"]) == ()
