"""Accuracy under natural shifts: counts re-derived row by row, intervals, class shares, groups, and planted faults."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

import labkit as lk
from labkit.analyses import natural_shifts as home
from labkit.analyses._groups.grouping import Grouping
from labkit.analyses._groups.shifted import compared
from labkit.core import intervals
from labkit.core.draws import Draws
from labkit.corruptions._applying import Ground, corrupt, corruption
from labkit.records.natural_shifts import NaturalShifts
from labkit.views import natural_shifts as view
from labkit.views._static import svg

SOME = ["gaussian_noise", "contrast", "rotate"]


def blank(x: np.ndarray) -> np.ndarray:
    """Everything is gone."""
    return np.zeros_like(x)


def only_marked(x: np.ndarray, severity: int) -> np.ndarray:
    """Fails in rows whose first pixel is lit."""
    return np.where(x[:, :, :1, :1] > 0.5, 0.0, x)


@pytest.fixture(scope="module")
def shifts(mlp, digits) -> NaturalShifts:
    return lk.natural_shifts(mlp, digits.test[:120], SOME, [1, 3, 5])


def with_groups(split: lk.data.Split, **groups: Any) -> lk.data.Split:
    return replace(split, groups={name: np.array(values) for name, values in groups.items()})


def test_answers_are_those_to_each_row_alone(shifts, mlp, digits) -> None:
    split = digits.test[:120]
    ground = Ground(split.schema, (0.0, 1.0), split.x)
    for i, name in enumerate(SOME):
        for j, severity in enumerate((1, 3, 5)):
            draws = Draws(0, 120).spawn(zlib.crc32(name.encode()))
            for row in (0, 57, 119):
                at = np.array([row])
                x = corrupt(corruption(name), split.x[at], severity, draws[at], ground)
                with torch.no_grad():
                    assert int(mlp(torch.tensor(x)).argmax()) == shifts.label[i, j, row]
    assert shifts.accuracy == (lk.predict(mlp, split).label == split.y).mean()
    assert shifts.control == 0 and shifts.status == "measured" and (shifts.changed == 120).all()
    assert shifts.families == ("noise", "digital", "geometry")


def test_the_batch_size_changes_nothing_and_the_seed_does(shifts, mlp, digits) -> None:
    split = digits.test[:120]
    parts = lk.natural_shifts(mlp, split, SOME, [1, 3, 5], batch_size=7)
    np.testing.assert_array_equal(parts.label, shifts.label)
    alone = lk.natural_shifts(mlp, split, ["rotate"], [5])
    np.testing.assert_array_equal(alone.label[0, 0], shifts.label[2, 2])
    assert not np.array_equal(lk.natural_shifts(mlp, split, ["rotate"], [5], seed=1).label, alone.label)


def test_drops_and_their_intervals(shifts) -> None:
    right, clean = shifts.label == shifts.y, shifts.clean == shifts.y
    drop, low, high = shifts.drop()
    np.testing.assert_allclose(drop, clean.mean() - right.mean(-1))
    lost, won = (clean & ~right).sum(-1), (right & ~clean).sum(-1)
    np.testing.assert_allclose((low, high), intervals.paired(lost, won, 120))
    value, *ends = shifts.mean_drop()
    assert value == pytest.approx(drop.mean()) and ends[0] < value < ends[1]
    assert shifts.relative == pytest.approx(drop.mean() / (1 - clean.mean()))
    assert shifts.relative_low < shifts.relative < shifts.relative_high


def test_the_interval_of_a_mean_difference_is_the_paired_one_and_covers() -> None:
    values = np.repeat([1.0, -1.0, 0.0], [9, 4, 37])
    np.testing.assert_allclose(intervals.paired_mean(values), intervals.paired(9, 4, 50))
    rng = np.random.default_rng(0)
    draws = rng.choice([0.0, 0.2, 0.4, 0.9, -0.3], p=[0.5, 0.2, 0.1, 0.15, 0.05], size=(4000, 40))
    low, high = intervals.paired_mean(draws)
    assert 0.94 < ((low <= 0.2) & (high >= 0.2)).mean() < 0.99
    still = intervals.paired_mean(np.zeros(30))
    assert still[0] < 0 < still[1], "it does not collapse"


def test_without_a_clean_error_there_is_nothing_to_compare_with(mlp, digits) -> None:
    split = digits.test[np.flatnonzero(lk.predict(mlp, digits.test).label == digits.test.y)[:60]]
    found = lk.natural_shifts(mlp, split, ["contrast"])
    assert (
        found.accuracy == 1 and np.isnan([found.relative, found.relative_low]).all() and "times" not in lk.says(found)
    )


def test_how_many_times_the_clean_error_is_told_with_care() -> None:
    """One clean error bounds nothing from above; many rows give the interval of the linearised ratio."""
    one = np.eye(40)[0] > 0
    low, high = home._relative(np.where(one, 0, 0.5), one, 1000, 0)
    assert high == np.inf and 0 < low < 19.5
    rng = np.random.default_rng(0)
    wrong = rng.random(4000) < 0.2
    lost = np.where(wrong, -rng.choice([0, 0.4], 4000), rng.choice([0, 0.2, 1.0], 4000))
    ratio = lost.sum() / wrong.sum()
    half = 1.96 * (lost - ratio * wrong).std() / wrong.mean() / np.sqrt(4000)
    np.testing.assert_allclose(home._relative(lost, wrong, 4000, 0), (ratio - half, ratio + half), atol=0.15 * half)


def test_a_model_that_does_not_mind_and_damage_that_leaves_nothing(digits, mlp) -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp.module

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x - x.flatten(1).mean(1)[:, None, None, None])

    split = replace(digits.test[:100], schema=replace(digits.schema, bounds=None))
    model = lk.wrap(Centred(), classes=digits.classes)

    def brighter(x: np.ndarray, severity: int) -> np.ndarray:
        return x + severity

    found = lk.natural_shifts(model, split, [brighter, blank])
    assert (found.same[0] == 100).all() and (found.drop()[0][0] == 0).all() and (found.changed[0] == 100).all()
    assert found.at_chance[1].all() and not found.at_chance[0].any()
    assert len(np.unique(found.label[1])) == 1


def test_one_that_changes_no_row_says_so(mlp, digits) -> None:
    def nothing_happens(x: np.ndarray) -> np.ndarray:
        return x

    found = lk.natural_shifts(mlp, digits.test[:50], [nothing_happens])
    assert any("changed no row" in w for w in found.warnings) and (found.shifted == found.accuracy).all()
    (finding,) = lk.check(found, thresholds={"holds_under_shift": {"tolerance": 0.5}})
    assert finding.status == "inconclusive"


def test_a_run_whose_control_changes_answers_is_contradicted(mlp, digits, monkeypatch) -> None:
    monkeypatch.setattr("labkit.analyses.natural_shifts._nothing", blank)
    found = lk.natural_shifts(mlp, digits.test[:50], ["contrast"])
    assert found.status == "contradicted" and found.control > 20 and "Contradicted" in lk.says(found)
    assert {f.status for f in lk.check(found)} == {"inconclusive"}


def test_answers_that_are_not_finite_are_wrong_and_told(mlp, digits) -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp.module

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) / (x.flatten(1).sum(1, keepdim=True) > 0)

    found = lk.natural_shifts(lk.wrap(Breaks(), classes=digits.classes, bounds=(0, 1)), digits.test[:40], [blank], [1])
    assert (found.label == -1).all() and found.shifted[0, 0] == 0
    assert any("40 answers under blank are not finite" in w for w in found.warnings)


def test_class_shares(shifts, digits) -> None:
    seen, size = shifts.observed_prior, 10
    right = (shifts.label == shifts.y).mean((0, 1))
    recall = np.array([right[shifts.y == k].mean() for k in range(size)])
    assert shifts.under_prior(seen, corrupted=False)[0] == pytest.approx(shifts.accuracy)
    assert shifts.under_prior(seen, corrupted=True)[0] == pytest.approx(right.mean())
    value, low, high = shifts.under_prior(np.full(size, 0.1), corrupted=True)
    assert value == pytest.approx(recall.mean()) and low < value < high
    worst = shifts.worst_prior(1.0, corrupted=True)
    assert worst.max() == pytest.approx(1) and shifts.under_prior(worst, corrupted=True)[0] == pytest.approx(
        recall.min()
    )


@pytest.mark.parametrize("within", [0.05, 0.3, 0.7])
def test_the_worst_class_shares_are_those_of_a_linear_program(within: float, shifts) -> None:
    right = (shifts.label == shifts.y).mean((0, 1))
    recall = np.array([right[shifts.y == k].mean() for k in range(10)])
    # shares are seen + gained - lost, the two of them each at most `within` in sum
    sums = np.array([[1.0] * 10 + [0.0] * 10])
    best = linprog(
        np.concatenate([recall, -recall]),
        A_ub=sums,
        b_ub=[within],
        A_eq=[[1.0] * 10 + [-1.0] * 10],
        b_eq=[0],
        bounds=[(0, None)] * 10 + [(0, s) for s in shifts.observed_prior],
    )
    found = shifts.worst_prior(within, corrupted=True)
    assert found.sum() == pytest.approx(1) and found.min() >= 0
    expected = best.fun + recall @ shifts.observed_prior
    assert shifts.under_prior(found, corrupted=True)[0] == pytest.approx(expected)


def test_class_shares_that_the_user_names(mlp, digits) -> None:
    split = digits.test[digits.test.y < 9][:100]
    named = lk.natural_shifts(mlp, split, ["contrast"], [1], prior={"0": 3, "1": 1})
    np.testing.assert_allclose(named.prior, [0.75, 0.25, *[0] * 8])
    zero, one = ((named.clean == named.y)[named.y == k].mean() for k in (0, 1))
    assert named.under_prior(named.prior, corrupted=False)[0] == pytest.approx(0.75 * zero + 0.25 * one)
    assert "as named" in set(view.priors(named)["class shares"])
    nine = np.eye(10)[9]
    assert np.isnan(named.under_prior(nine, corrupted=True)).all(), "no row of that class"
    for bad in ([1, 2], {"eleven": 1}, [0] * 10, [-1] + [1] * 9, ["a"] * 10):
        with pytest.raises(lk.Refused):
            lk.natural_shifts(mlp, split, ["contrast"], [1], prior=bad)


def test_a_group_that_loses_more_is_named_and_its_sound_twin_is_not(mlp, digits) -> None:
    split = digits.test[:200]
    lit, turns = np.arange(200) % 4 == 0, np.random.default_rng(0).permutation(200)
    x = split.x.copy()
    x[lit, 0, 0, 0] = 1
    names = np.where(lit, "lit", "plain")
    made = with_groups(replace(split, x=x), light=names, toss=names[turns])
    found = lk.natural_shifts(mlp, made, [only_marked], [1, 2], replicates=400)
    first = found.features.index("light")
    assert found.group[found.highest[first]] == "lit" and found.p_holm[first] < 0.01 and found.difference[first] > 0.5
    by = {f.subject: f.status for f in lk.check(found, only=["equal_under_shift"])}
    assert by["light"] == "does_not_meet" and by["toss"] != "does_not_meet"
    n, drop, low, high = found.group_drops()
    group = int(np.flatnonzero(found.group == "lit")[0])
    assert n[group] == 50 and low[group] < drop[group] < high[group]
    assert drop[group] == pytest.approx(found.lost[lit].mean())
    assert "lit loses most, by more than chance" in lk.says(found)
    assert len(view.groups(found)) == 4 and "what each group loses" in svg(lk.figure(found), name="f")


def test_groups_made_at_random_are_not_accused() -> None:
    rng, accused = np.random.default_rng(3), 0
    for k in range(100):
        lost = rng.choice([0.0, 0.1, 0.5, 1.0, -0.2], p=[0.6, 0.15, 0.1, 0.1, 0.05], size=300)
        code = rng.choice(3, p=[0.6, 0.3, 0.1], size=300)
        found = compared(lost, [Grouping("g", ("a", "b", "c"), code)], 10, 200, k)
        accused += found["p_holm"][0] < 0.01 and found["difference_low"][0] > 0.05
    assert accused <= 2


def test_small_groups_are_shown_and_not_compared(mlp, digits) -> None:
    split = digits.test[:80]
    made = with_groups(split, g=np.where(np.arange(80) < 5, "few", "many"), unknown=np.full(80, ""))
    found = lk.natural_shifts(mlp, made, ["contrast"], [1])
    assert (found.highest == -1).all() and np.isnan(found.p_holm).all()
    assert {f.status for f in lk.check(found, only=["equal_under_shift"])} == {"not_measured"}
    assert lk.natural_shifts(mlp, made, ["contrast"], [1], by=["g"], least=5).highest[0] >= 0
    with pytest.raises(lk.Refused):
        lk.natural_shifts(mlp, made, ["contrast"], [1], by=["nobody"])


def test_all_that_fit_are_taken_and_the_rest_is_told(mlp, digits) -> None:
    found = lk.natural_shifts(mlp, lk.data.load("digits"), severities=[3])
    assert len(found.corruptions) >= 20 and len(found) == len(digits.test)
    assert any("saturate is left out" in w for w in found.warnings)
    with pytest.raises(lk.Refused, match="1 channel"):
        lk.natural_shifts(mlp, digits.test[:20], ["saturate"])


@pytest.mark.parametrize(
    ("corruptions", "severities", "options", "words"),
    [
        (["fogg"], [1], {}, "'fog'"),
        (["fog"], [0], {}, "1, 2, 3, 4, 5"),
        (["fog"], [], {}, "1, 2, 3, 4, 5"),
        (["fog", "fog"], [1], {}, "once"),
        (["fog"], [1], {"cutout": {"shade": 0}}, "cutout"),
        (["cutout"], [1], {"cutout": {"shade": 2}}, "from 0 to 1"),
        (["missing_values"], [1], {}, "image data"),
        ([lambda x: x[:1, :, 0]], [1], {}, "as many numbers"),
        ([lambda x: x / 0 * np.nan], [1], {}, "finite"),
        ([lambda x: 1 // 0], [1], {}, "ZeroDivisionError"),
        ([lambda x, wind: x], [1], {}, "nothing offers wind"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    corruptions: Any, severities: Any, options: Any, words: str, mlp, digits
) -> None:
    with np.errstate(all="ignore"), pytest.raises(lk.Refused, match=words):
        lk.natural_shifts(mlp, digits.test[:20], corruptions, severities, options=options)


def test_tables_and_their_options() -> None:
    model, data = lk.zoo.load("german_mlp"), lk.data.load("german")
    found = lk.natural_shifts(model, data, options={"wrong_unit": {"factor": 1000}})
    assert {"missing", "mistaken"} == set(found.families) and "factor=1000.0" in " ".join(found.specs)
    assert found.features == tuple(data.test.groups) and found.modality == "tabular"
    assert found.shifted[found.corruptions.index("unseen_categories"), -1] < found.accuracy - 0.05


def test_the_background_says_what_is_usual() -> None:
    model, data = lk.zoo.load("german_mlp"), lk.data.load("german")
    whole = lk.natural_shifts(model, data, ["missing_values"], [5])
    given = lk.natural_shifts(model, data.test, ["missing_values"], [5], background=data.train)
    assert whole.digest == given.digest and whole.provenance.options["background"] == data.train.name
    young = data.train[data.train.groups["age_band"] == "under 26"]
    other = lk.natural_shifts(model, data.test, ["missing_values"], [5], background=young)
    assert not np.array_equal(other.label, given.label)
    for bad in (data.train.x, lk.data.load("digits").train):
        with pytest.raises(lk.Refused, match="same schema"):
            lk.natural_shifts(model, data.test, ["missing_values"], [5], background=bad)


def test_checks_follow_the_users_tolerance(shifts) -> None:
    drop, low, high = shifts.mean_drop()
    for tolerance, status in (
        (0.0, "info"),
        (low / 2, "does_not_meet"),
        (drop, "inconclusive"),
        (high + 0.01, "meets"),
    ):
        (found,) = lk.check(shifts, thresholds={"holds_under_shift": {"tolerance": tolerance}})
        assert found.status == status and found.n == 120 and found.estimate == drop


def test_how_it_looks(shifts, digits, tmp_path) -> None:
    picture = svg(lk.figure(shifts), name="f")
    assert "gaussian noise" in picture and f"{shifts.shifted[2, 2]:.2f}" in picture and "geometry" in picture
    table = lk.rows(shifts)
    assert len(table) == 9 and table["right"].tolist() == (shifts.label == shifts.y).sum(-1).ravel().tolist()
    said = lk.says(shifts)
    assert "Of 120 rows" in said and said.endswith(".") and "a drop of" in said
    assert "times the clean error" in said and "at least" in lk.says(replace(shifts, relative_high=float("inf")))
    assert lk.load(lk.save(shifts, tmp_path / "shifts.lk")).digest == shifts.digest
    everything = [a.text for a in view.gallery(digits.test[:2], 2).layout.annotations]
    assert "motion blur" in everything and "saturate" not in everything and len(everything) >= 25
    assert svg(view.gallery(digits.test[:2], 2, ["fog", "rain"]), name="g").count("<image") == 3
    with pytest.raises(lk.Refused):
        view.gallery(lk.data.load("german").test[:2])
