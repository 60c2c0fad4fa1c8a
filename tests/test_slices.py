"""Slices: found among all, confirmed on others, nothing in noise; counts, tests and power re-derived another way."""

from __future__ import annotations

import dataclasses
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, fisher_exact

import labkit as lk
from labkit.analyses._slices import search
from labkit.analyses._slices.conditions import columns, conditions, held
from labkit.analyses._slices.harm import Harm, difference, first_half
from labkit.core import intervals
from labkit.views._static import svg

COLUMNS = {"job": list("abcd"), "city": list("xyz"), "sex": ["F", "M"]}
BASE = 0.15


def people(seed: int, n: int, planted: float = 0.0) -> pd.DataFrame:
    """Five columns without any bearing on errors, but for women of job a, whose errors are as much more likely."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({name: generator.choice(values, n) for name, values in COLUMNS.items()})
    frame = frame.assign(age=generator.integers(18, 80, n), debt=generator.normal(size=n))
    rate = BASE + planted * ((frame.job == "a") & (frame.sex == "F"))
    y = generator.integers(0, 2, n)
    return frame.assign(y=y, label=np.where(generator.random(n) < rate, 1 - y, y))


def given(frame: pd.DataFrame) -> tuple[lk.Predictions, lk.data.Split]:
    p = lk.Predictions.from_frame(frame, y="y", label="label", groups=["sex"])
    return p, lk.data.from_frame(frame, y="y", drop=["label"])


def slices(frame: pd.DataFrame, metric="error rate", **options):
    return lk.find_slices(*given(frame), metric, **{"replicates": 100, **options})


def inside(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Who is in a slice, read from its name alone."""
    within = np.ones(len(frame), bool)
    for part in name.split(" & "):
        column, _, rest = part.partition(" ")
        values = frame[column]
        if rest.startswith("= "):
            within &= values == rest[2:]
        elif rest.startswith("under "):
            within &= values < float(rest[6:])
        elif rest.endswith(" and over"):
            within &= values >= float(rest[:-9])
        else:
            low, _, high = rest.partition(" to ")
            within &= values >= float(low)
            within &= values < float(high[6:]) if high.startswith("under ") else values <= float(high or low)
    return within.to_numpy()


@pytest.fixture(scope="module")
def planted():
    frame = people(3, 4000, 0.3)
    return frame, slices(frame, replicates=1000)


def test_a_frame_becomes_columns_row_by_row() -> None:
    frame = pd.DataFrame({"age": [20, 30, 40], "sex": ["F", None, "m"], "y": ["no", "yes", "no"]}, index=[7, 7, 1])
    split = lk.data.from_frame(frame, y="y", groups=["sex"], name="mine")
    assert split.y.tolist() == [0, 1, 0] and split.classes == ("no", "yes") and split.x[:, 0].tolist() == [20, 30, 40]
    assert [split.schema.show(row)[1] for row in split.x] == ["F", "(unknown)", "m"]
    assert split.groups["sex"].tolist() == ["F", "", "m"] and split.name == "mine"
    bare = lk.data.from_frame(frame, drop=["y"], categorical=["age"])
    assert (bare.y == -1).all() and bare.schema.sizes[0] == 4
    for wrong in ({"y": "z"}, {"drop": ["age", "sex", "y"]}, {"groups": "sex"}, {"drop": ["nobody"]}):
        with pytest.raises(lk.Refused):
            lk.data.from_frame(frame, **wrong)
    for table in (frame[:0], frame.to_dict(), pd.concat([frame, frame], axis=1), frame.assign(age=[1, np.nan, 2])):
        with pytest.raises(lk.Refused):
            lk.data.from_frame(table)


def test_a_planted_slice_is_found_and_confirmed_and_its_sound_twin_is_not(planted) -> None:
    frame, record = planted
    assert record.confirmed.any() and record.confirmed[0]
    true = (frame.job == "a") & (frame.sex == "F")
    worst = inside(frame, record.slice[record.worst])
    assert (worst & true).sum() / (worst | true).sum() > 0.9
    assert record.difference_low[record.worst] <= 0.3 <= record.difference_high[record.worst]
    assert record.p_worst < 0.01 and record.chance95[0] < record.value[0]
    twin = slices(people(3, 4000))
    assert not twin.confirmed.any()


def redrawn(frame: pd.DataFrame, p: lk.Predictions, seed: int, planted: float = 0.0) -> lk.Predictions:
    """The same people with other errors."""
    rate = BASE + planted * ((frame.job == "a") & (frame.sex == "F")).to_numpy()
    wrong = np.random.default_rng(seed).random(len(frame)) < rate
    return dataclasses.replace(p, label=np.where(wrong, 1 - p.y, p.y))


def test_nothing_is_confirmed_on_pure_noise() -> None:
    """At most 5 % of tables without any effect have a confirmed slice, among 200 and more candidates each."""
    frame = people(1, 400)
    p, split = given(frame)
    records = [
        lk.find_slices(redrawn(frame, p, i), split, depth=2, least=20, seed=i, replicates=100) for i in range(200)
    ]
    assert min(r.candidates for r in records) >= 200
    false = sum(bool(r.confirmed.any()) for r in records)
    assert binomtest(false, len(records), 0.05, alternative="greater").pvalue > 0.01, false
    looked = [(r.found_value[0] - r.value[0], r.found_value[0] - r.overall) for r in records if len(r.slice)]
    shrunk, seen = np.mean(looked, axis=0)
    assert shrunk / seen == pytest.approx(1, abs=0.15), "what was seen in noise is gone on others"


def test_counts_and_tests_are_those_of_pandas_and_scipy(planted) -> None:
    frame, record = planted
    p, _ = given(frame)
    harm = Harm("error rate", (p.label != p.y).astype(float), True)
    half = first_half(harm, 0)
    wrong = (frame.y != frame.label).to_numpy()
    assert abs(wrong[half].mean() - wrong[~half].mean()) < 0.001, "stratified"
    assert record.overall == pytest.approx(wrong[~half].mean())
    for i, name in enumerate(record.slice):
        member = inside(frame, name)
        assert (record.found_n[i], record.n[i]) == ((member & half).sum(), (member & ~half).sum())
        assert record.found_value[i] == pytest.approx(wrong[member & half].mean())
        assert record.value[i] == pytest.approx(wrong[member & ~half].mean())
        assert record.rest[i] == pytest.approx(wrong[~member & ~half].mean())
        table = [[(wrong & m & ~half).sum(), (~wrong & m & ~half).sum()] for m in (member, ~member)]
        assert record.p[i] == pytest.approx(fisher_exact(table, alternative="greater").pvalue, rel=1e-6)
    assert record.p_holm == pytest.approx(intervals.holm(record.p))
    assert (record.confirmed == (intervals.benjamini_hochberg(record.p) <= 0.05)).all()


def test_the_search_leaves_out_no_slice_that_enumeration_finds() -> None:
    generator = np.random.default_rng(5)
    code = np.column_stack([generator.integers(0, k, 900) for k in (3, 4, 2, 5)])
    narrow = (code[:, 0] == 1) & (code[:, 2] == 0) & (code[:, 3] == 4)
    wrong = (generator.random(900) < 0.05 + 0.9 * narrow).astype(float)
    single = np.array([(c, b, b) for c, k in enumerate((3, 4, 2, 5)) for b in range(k)])
    cells = search.cells(code, wrong)
    found = search.search(cells, single, 3, 20)
    rate, scores = wrong.mean(), {}
    for size in (1, 2, 3):
        for cols in combinations(range(4), size):
            for bins in product(*(range(code[:, c].max() + 1) for c in cols)):
                member = (code[:, cols] == bins).all(1)
                n = member.sum()
                if 20 <= n <= 880:
                    error = np.sqrt(rate * (1 - rate) * n * (900 - n) / 899)
                    key = tuple(int(np.flatnonzero((single == (c, b, b)).all(1))[0]) for c, b in zip(cols, bins))
                    scores[key] = (wrong[member].sum() - n * rate) / error
    best = {s for s, v in scores.items() if v >= search.FLOOR}
    assert best and set(found.sets) == best, "fewer than the pool holds, so all of them"
    assert len(found.sets) <= found.candidates <= len(scores)
    sums = held(cells.code, single) @ np.column_stack([cells.weight, cells.harm, cells.excess])
    bound = search._bound(cells, search.Level(np.arange(len(single))[:, None], *sums.T), 20)
    for k in range(len(single)):
        assert bound[k] >= max(v for key, v in scores.items() if k in key), "no narrower slice beats its bound"


def test_a_narrower_slice_that_is_no_worse_and_the_same_people_are_not_told_again() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.integers(0, 2, 3000), generator.integers(0, 3, 3000)
    wrong = (generator.random(3000) < 0.1 + 0.3 * a).astype(float)
    code = np.column_stack([a, a, b])  # the second column is the first in other words
    single = np.array([(c, k, k) for c, s in enumerate((2, 2, 3)) for k in range(s)])
    told = search.find(code, wrong, single, 3, 30, 10).sets
    assert told[0] in ((1,), (3,)) and not any({1, 3} & set(s) for s in told[1:]), told


def test_rates_of_those_in_question_and_both_directions() -> None:
    frame = people(4, 3000, 0.3)
    refused = slices(frame, "false_negative_rate")
    assert refused.searched + refused.confirming == (frame.y == 1).sum() and refused.metric == "false negative rate"
    missed = slices(frame, "true positive rate")
    assert missed.metric == "false negative rate" and missed.value == pytest.approx(refused.value)
    assert slices(frame, "accuracy").value == pytest.approx(slices(frame).value)
    with pytest.raises(lk.Refused, match="worst"):
        slices(frame, "selection_rate")
    assert slices(frame, "selection_rate", worst="high").metric == "selection rate"
    for metric in ("auc", "f1"):
        with pytest.raises(lk.Refused):
            slices(frame, metric)


def test_losses_are_confirmed_by_permutation_and_noise_is_not() -> None:
    frame = people(6, 1500)
    generator = np.random.default_rng(0)
    bad = ((frame.job == "a") & (frame.sex == "F")).to_numpy()
    loss = generator.exponential(size=len(frame))
    record = slices(frame, loss + 1.0 * bad, replicates=1000)
    assert record.confirmed.any() and not record.rate
    assert record.difference_low[0] <= 1.0 <= record.difference_high[0]
    assert not any(slices(frame, generator.exponential(size=len(frame)), seed=s).confirmed.any() for s in range(3))
    loss[:3] = np.nan
    assert slices(frame, loss).searched + slices(frame, loss).confirming == len(frame) - 3
    for wrong in (loss[:-1], np.where(np.isnan(loss), np.inf, loss)):
        with pytest.raises(lk.Refused):
            slices(frame, wrong)


def test_welch_agrees_with_scipy() -> None:
    from scipy.stats import ttest_ind

    a, b = np.random.default_rng(0).normal(size=30), np.random.default_rng(1).normal(1, 3, 50)
    ends = ttest_ind(a, b, equal_var=False).confidence_interval()
    assert difference(Harm("loss", a, False), a, b) == pytest.approx((ends.low, ends.high))


def test_what_is_said_to_be_detectable_is_found_about_as_often() -> None:
    """A slice of some 130 people in each half that is worse by the stated difference, over 40 tables."""
    frame = people(50, 2000)
    p, split = given(frame)
    true = ((frame.job == "a") & (frame.sex == "F")).to_numpy()
    record = lk.find_slices(p, split, depth=2, replicates=100)
    stated = float(np.interp(np.log(true.sum() / 2), np.log(record.sizes), record.missed))
    found = 0
    for i in range(40):
        record = lk.find_slices(redrawn(frame, p, i, stated), split, depth=2, seed=i, replicates=100)
        members = [inside(frame, s) for s, sure in zip(record.slice, record.confirmed) if sure]
        found += any((m & true).sum() > 0.5 * m.sum() for m in members)
    assert 0.6 <= found / 40 <= 1, found


def test_sensitive_features_that_are_no_columns_are_searched_and_alone_suffice() -> None:
    frame = people(8, 3000, 0.4)
    p = lk.Predictions.from_frame(frame, y="y", label="label", groups=["sex", "job"])
    alone = lk.find_slices(p, None, replicates=100)
    assert alone.columns == ("sex", "job") and set(alone.slice[0].split(" & ")) == {"sex = F", "job = a"}
    table = lk.data.from_frame(frame, drop=["y", "label", "job"])
    assert lk.find_slices(p, table, replicates=100).columns[-1] == "job"


def test_numbers_are_cut_where_the_names_say() -> None:
    values = np.concatenate([np.zeros(500), np.arange(1, 501)])
    frame = pd.DataFrame({"gain": values, "real": np.linspace(0, 1, 1000), "y": 0, "label": np.arange(1000) % 2})
    frame = frame.assign(sex="F", y=np.arange(1000) % 3 % 2)
    p, split = given(frame)
    table = columns("t", p, split, np.ones(1000, bool), 4)
    assert table.bins[0][0] == "0" or table.bins[0][0].startswith("under 1")
    for i in range(2):
        for k, name in enumerate(table.bins[i]):
            said = f"{table.names[i]} {name}"
            assert np.array_equal(inside(frame, said), table.code[:, i] == k), said
    chosen = conditions(table)
    for row, mask in zip(chosen, held(table.code, chosen)):
        assert np.array_equal(inside(frame, table.said(*row)), mask)


def test_what_cannot_be_told_is_said() -> None:
    frame = people(9, 200)
    assert slices(frame[:80]).status == "not_measured"
    perfect = slices(frame.assign(label=frame.y))
    assert perfect.status == "not_measured" and "same error rate" in perfect.reason
    assert lk.says(perfect).startswith("Not measured because")
    (said,) = lk.check(perfect, only=["worse_slices"])
    assert said.status == "not_measured"
    p, split = given(frame)
    schema = lk.data.Schema("image", "what", (1, 2, 2))
    pictures = lk.data.Split(np.zeros((200, 1, 2, 2), np.float32), frame.y.to_numpy(), schema, ("0", "1"), "pictures")
    for wrong in (
        split[:100],
        pictures,
        lk.data.from_frame(frame.assign(y=1 - frame.y), y="y"),
    ):
        with pytest.raises(lk.Refused):
            lk.find_slices(p, wrong)
    for option in ({"depth": 0}, {"most": 0}, {"alpha": 2}, {"bins": 1}, {"least": True}, {"worst": "left"}):
        with pytest.raises(lk.Refused):
            slices(frame, **option)


def test_view_check_and_store(planted, tmp_path) -> None:
    frame, record = planted
    assert lk.load(lk.save(record, tmp_path / "s.lk")).digest == record.digest
    assert lk.find_slices(*given(frame), replicates=1000).digest == record.digest
    told = lk.rows(record)
    assert len(told) == len(record.slice) and told.confirmed.is_monotonic_decreasing
    assert "n = " in lk.says(record) and "more (p" in lk.says(record)
    assert svg(lk.figure(record), name="s").startswith("<svg")
    statuses = {f.subject: f.status for f in lk.check(record, only=["worse_slices"])}
    assert statuses[record.slice[record.worst]] == "does_not_meet"
    wide = lk.check(record, only=["worse_slices"], thresholds={"worse_slices": {"tolerance": 0.9}})
    assert {f.status for f in wide} == {"info"}
    quiet = slices(people(2, 600), most=1)
    assert {f.status for f in lk.check(quiet, only=["worse_slices"])} <= {"inconclusive", "meets"}
    lk.figure(quiet)
