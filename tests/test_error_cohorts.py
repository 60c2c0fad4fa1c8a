"""Error cohorts: a tree grown on one half and told by the other, beside simulations in which the truth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, fisher_exact

import labkit as lk
from labkit.analyses._slices.harm import Harm, first_half
from labkit.core import intervals
from labkit.views._static import svg
from labkit.views.error_cohorts import heat_map


def people(seed: int, n: int, planted: float = 0.0) -> pd.DataFrame:
    """Errors at 15 %, and so much more likely among people of 50 and over in city x."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({"city": generator.choice(list("xyz"), n), "sex": generator.choice(["F", "M"], n)})
    frame = frame.assign(age=generator.integers(20, 80, n), debt=generator.normal(size=n))
    y = generator.integers(0, 2, n)
    rate = 0.15 + planted * ((frame.city == "x") & (frame.age >= 50))
    return frame.assign(y=y, label=np.where(generator.random(n) < rate, 1 - y, y))


def cohorts(frame: pd.DataFrame, metric="error rate", **options):
    p = lk.Predictions.from_frame(frame, y="y", label="label", groups=["sex"])
    split = lk.data.from_frame(frame, y="y", drop=["label"])
    return lk.error_cohorts(p, split, metric, **{"replicates": 200, **options})


def noise(times: int, n: int, **options):
    """The same people with errors at random, so many times."""
    frame = people(100, n)
    p = lk.Predictions.from_frame(frame, y="y", label="label", groups=["sex"])
    split = lk.data.from_frame(frame, drop=["y", "label"])
    small = {"least": 20, "depth": 2, "leaves": 4, "replicates": 100, "bins": 3} | options
    wrong = [np.random.default_rng(i).random(n) < 0.15 for i in range(times)]
    answers = [dataclasses.replace(p, label=np.where(w, 1 - p.y, p.y)) for w in wrong]
    return [lk.error_cohorts(a, split, seed=i, **small) for i, a in enumerate(answers)]


def inside(frame: pd.DataFrame, path: str) -> np.ndarray:
    """Who is in a cohort, read from its words alone."""
    within = np.ones(len(frame), bool)
    for part in path.split(" & "):
        column, _, rest = part.partition(" ")
        if part == "everybody":
            continue
        if rest.startswith(("= ", "not ")):
            name = rest.partition(" ")[2]
            within &= (frame[column] == name) == rest.startswith("= ")
        elif rest.startswith("under "):
            within &= frame[column] < float(rest[6:])
        else:
            within &= frame[column] >= float(rest.removesuffix(" and over"))
    return np.asarray(within)


@pytest.fixture(scope="module")
def planted():
    frame = people(1, 5000, 0.35)
    return frame, cohorts(frame)


def test_the_tree_finds_what_was_planted_and_says_it_of_people_it_was_not_grown_on(planted) -> None:
    frame, record = planted
    assert len(record.node) >= 5 and record.p_worst < 0.01
    k = record.worst
    true = ((frame.city == "x") & (frame.age >= 50)).to_numpy()
    member = inside(frame, record.path(k))
    assert (member & true).sum() / (member | true).sum() > 0.9
    assert record.low[k] <= 0.5 <= record.high[k] and record.value[k] > record.chance95[k]
    wrong = (frame.y != frame.label).to_numpy()
    half = first_half(Harm("", wrong.astype(float), True), 0)
    for node in range(len(record.node)):
        member = inside(frame, record.path(node))
        assert record.n[node] == (member & ~half).sum() and record.found_n[node] == (member & half).sum()
        assert record.value[node] == pytest.approx(wrong[member & ~half].mean())
        assert record.found_value[node] == pytest.approx(wrong[member & half].mean())
        level = 1 - 0.05 / (2 * record.splits) if node else 0.95
        ends = intervals.wilson((wrong & member & ~half).sum(), record.n[node], level)
        assert (record.low[node], record.high[node]) == pytest.approx(tuple(map(float, ends)))
        children = np.flatnonzero(record.parent == node)
        assert len(children) == (0 if record.leaf[node] else 2)
        if len(children):
            sides = [inside(frame, record.path(c)) & ~half for c in children]
            table = [[(wrong & s).sum(), (~wrong & s).sum()] for s in sides]
            assert record.n[children].sum() == record.n[node]
            assert record.p_split[node] == pytest.approx(fisher_exact(table).pvalue, rel=0.2)
    assert record.n[record.leaf].sum() == record.honest


def test_of_pure_noise_the_root_alone_is_left_and_says_so() -> None:
    records = noise(80, 400)
    assert sum(r.splits for r in records) > 80, "the trees as they were grown do split"
    false = sum(len(r.node) > 1 for r in records)
    assert binomtest(false, len(records), 0.05, alternative="greater").pvalue > 0.01, false
    alone = next(r for r in records if len(r.node) == 1)
    assert lk.says(alone).startswith("One cohort: error rate") and "beyond chance" in lk.says(alone)
    assert len(lk.rows(alone)) == 1 and "more than chance" in lk.figure(alone).data[-1].text[0]
    cells = np.array([r.p_any.min() for r in records])
    assert binomtest(int((cells <= 0.05).sum()), len(cells), 0.05, alternative="greater").pvalue > 0.01


def test_all_intervals_of_a_tree_hold_at_once() -> None:
    """In noise every node's true value is known; 95 % of trees as grown hold it in all of their nodes."""
    trees = noise(60, 600, alpha=0.999)
    assert np.mean([len(r.node) for r in trees]) > 3
    missed = sum(bool(((r.low[1:] > 0.15) | (r.high[1:] < 0.15)).any()) for r in trees)
    assert binomtest(missed, len(trees), 0.05, alternative="greater").pvalue > 0.01, missed


def test_any_two_columns_are_counted_as_pandas_counts_them(planted) -> None:
    frame, record = planted
    wrong = frame.y != frame.label
    a, b = record.bins_of("city"), record.bins_of("sex")
    counted = pd.crosstab(frame.city, frame.sex)
    errors = pd.crosstab(frame.city, frame.sex, values=wrong, aggfunc="sum")
    assert (record.people[np.ix_(a, b)] == counted.to_numpy()).all()
    assert (record.harm[np.ix_(a, b)] == errors.to_numpy()).all()
    assert record.people[a, a].sum() == len(frame) and (record.people == record.people.T).all()
    k = record.surest_pair
    assert {record.columns[record.first[k]], record.columns[record.second[k]]} == {"city", "age"}
    assert record.p_any[k] == pytest.approx(1 / 201) and (record.p_any >= record.p_cell - 1e-12).all()
    top = (record.harm / np.maximum(record.people, 1))[record.worst_first[k], record.worst_second[k]]
    assert top > record.cell95[k] > 0.15
    dull = record.pair("debt", "sex")
    assert record.p_any[dull] > 0.05 and dull == record.pair("sex", "debt")


def test_small_cells_are_shown_and_not_compared() -> None:
    frame = people(7, 1000)
    frame.loc[:9, ["city", "label"]] = ["w", 0]
    frame.loc[:9, "y"] = 1  # ten people, all of them wrongly refused
    record = cohorts(frame)
    small = int(next(b for b in record.bins_of("city") if record.bin[b] == "w"))
    assert record.people[small, small] == 10 and record.harm[small, small] == 10
    assert small not in record.worst_first and small not in record.worst_second
    texts = np.array(heat_map(record, "city", "sex").data[0].text).ravel().tolist()
    assert any(t.startswith("(1.00)") for t in texts)
    assert np.isnan(np.array(heat_map(record, "city", "sex").data[0].z, float)).sum() >= 2


def test_losses_and_those_in_question() -> None:
    frame = people(3, 3000)
    bad = ((frame.city == "x") & (frame.age >= 50)).to_numpy()
    loss = np.random.default_rng(0).exponential(size=3000) + bad
    record = cohorts(frame, loss)
    assert not record.rate and record.value[record.worst] == pytest.approx(2, abs=0.3)
    assert record.low[record.worst] < 2 < record.high[record.worst]
    refused = cohorts(people(3, 3000, 0.4), "false_negative_rate")
    assert refused.grown + refused.honest == (people(3, 3000).y == 1).sum() and refused.metric == "false negative rate"


def test_what_cannot_be_told_is_said() -> None:
    frame = people(5, 300)
    few = cohorts(frame[:90])
    assert few.status == "not_measured" and lk.says(few).startswith("Not measured because")
    assert len(few.node) == 1 and lk.figure(few) is not None
    perfect = cohorts(frame.assign(label=frame.y))
    assert len(perfect.node) == 1 and perfect.splits == 0 and "no split" in lk.says(perfect)
    record = cohorts(frame)
    for first, second in (("city", "nothing"), ("city", "city"), ("nothing", "city")):
        with pytest.raises(lk.Refused):
            heat_map(record, first, second)
    for option in ({"depth": 0}, {"leaves": 1}, {"alpha": 0}, {"bins": 1}, {"replicates": 5}):
        with pytest.raises(lk.Refused):
            cohorts(frame, **option)


def test_views_and_store(planted, tmp_path) -> None:
    frame, record = planted
    assert lk.load(lk.save(record, tmp_path / "c.lk")).digest == record.digest == cohorts(frame).digest
    for k, figure in enumerate((lk.figure(record), heat_map(record), heat_map(record, "sex", "debt"))):
        assert svg(figure, name=f"f{k}").startswith("<svg")
    boxes = lk.figure(record).data[-1]
    assert len(boxes.text) == len(record.node) and all("n = " in t for t in boxes.text)
    leaves = [boxes.y[i] for i in np.flatnonzero(record.leaf)]
    assert sorted(leaves) == list(range(len(leaves))), "no two boxes on one line"
    assert "worst" in lk.says(record) and "city = x" in lk.says(record)
