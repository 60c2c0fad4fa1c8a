"""Bias in the data: shares, labels, missing values, copies and lengths by group, train and test apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import labkit as lk
from labkit.core.record import Provenance
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split


def table(seed: int, n: int = 800, gap: float = 0.0, holes: float = 0.0, name: str = "data") -> Split:
    """People of three groups; the second has a label more often by ``gap``, and ``holes`` more missing values."""
    generator = np.random.default_rng(seed)
    group = generator.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    y = (generator.random(n) < 0.3 + gap * (group == "b")).astype(int)
    lacks = generator.random(n) < 0.1 + holes * (group == "c")
    job = np.where(lacks, 0, generator.integers(1, 4, n))
    features = (Feature("pay", "numeric"), Feature("job", "categorical", categories=("?", "x", "y", "z")))
    x = np.column_stack([generator.normal(size=n), job]).astype(np.float32)
    schema = Schema("tabular", "y", (2,), features=features, groups=("g",))
    return Split(x, y, schema, ("no", "yes"), name, {"g": group})


def test_shares_and_rates_are_counted_the_slow_way() -> None:
    split = table(0)
    found = lk.data_bias(split, "g", replicates=100)
    frame = pd.DataFrame({"g": split.groups["g"], "y": split.y, "hole": split.x[:, 1] == 0}).groupby("g")
    assert found.rates == ("label yes", "a value is missing", "same inputs as another")
    assert found.share[0].tolist() == (frame.size() / 800).tolist() and found.group.tolist() == ["a", "b", "c"]
    assert found.value[0, 0].tolist() == frame.y.mean().tolist()
    assert found.value[0, 1].tolist() == frame.hole.mean().tolist()
    assert found.difference[0, 0, 0] == pytest.approx(np.ptp(frame.y.mean()))
    low, high = stats.binomtest(int(frame.y.sum()["a"]), int(frame.size()["a"])).proportion_ci(method="wilson")
    assert (found.low[0, 0, 0], found.high[0, 0, 0]) == pytest.approx((low, high))
    assert found.people_needed == 402 and np.isnan(found.shift_p).all() and np.isnan(found.moved).all()


def test_adult_and_german_base_rates() -> None:
    adult = lk.data.load("adult").train
    found = lk.data_bias(
        replace(adult, x=adult.x[:, :1], schema=replace(adult.schema, features=adult.schema.features[:1], shape=(1,))),
        ["sex"],
        replicates=100,
    )
    assert dict(zip(found.group, found.value[0, 0].round(4))) == {"Female": 0.1095, "Male": 0.3057}
    assert dict(zip(found.group, found.share[0].round(4))) == {"Female": 0.3308, "Male": 0.6692}
    assert "chance alone gives" in lk.says(found)
    german = lk.data.load("german")
    whole = lk.data_bias(german, ["sex"], positive="good risk", replicates=100)
    good = (whole.hits[:, 0].sum(0) / whole.n.sum(0)).round(4)
    assert dict(zip(whole.group, good)) == {"female": 0.6484, "male": 0.7232}


def test_two_groups_have_fishers_p_and_an_intersection_counts_nobody_as_nobody() -> None:
    split = table(1)
    pair = replace(split, groups={"g": np.where(split.groups["g"] == "a", "a", "b"), "h": split.groups["g"]})
    found = lk.data_bias(pair, ["g", ("g", "h")], replicates=100)
    cells = np.column_stack([found.hits[0, 0, :2], found.n[0, :2] - found.hits[0, 0, :2]])
    assert found.p[0, 0, 0] == pytest.approx(stats.fisher_exact(cells)[1], rel=0.2)
    empty = list(found.group).index("a & b")
    assert found.n[0, empty] == 0 and np.isnan(found.value[0, 0, empty]) and not found.ranked[0, empty]


def test_what_is_planted_is_found_and_even_data_are_not_flagged() -> None:
    flagged, p = 0, []
    for seed in range(40):
        sound = lk.data_bias(table(seed), "g", replicates=200, seed=seed)
        flagged += np.nanmin(sound.p_holm) < 0.05
        p += sound.p[0, :2, 0].tolist()
    assert flagged <= 6, "one in twenty, and a little"
    assert np.mean(np.array(p) < 0.1) < 0.2
    uneven = lk.data_bias(table(0, gap=0.3, holes=0.3), "g", replicates=400)
    assert (uneven.p_holm[0, :2, 0] < 0.05).all()
    assert uneven.group[uneven.highest[0, :2, 0]].tolist() == ["b", "c"]
    told = {f.subject: f.status for f in lk.check(uneven, only=["even_data"])}
    assert told["label yes by g in data"] == told["a value is missing by g in data"] == "does_not_meet"
    assert told["same inputs as another by g in data"] == "info"


def test_shares_are_held_against_a_reference() -> None:
    p, split = [], table(0)
    for seed in range(80):
        found = lk.data_bias(table(seed, 300), "g", reference={"g": {"a": 0.5, "b": 0.3, "c": 0.2}}, replicates=300)
        p.append(found.reference_p[0, 0])
    assert np.mean(np.array(p) < 0.05) < 0.14 and 0.35 < np.mean(p) < 0.65
    other = lk.data_bias(split, "g", reference={"g": {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}}, replicates=300)
    assert other.reference_p[0, 0] < 0.01 and other.n[0, -1] == 0 and other.group[-1] == "d"
    assert "does_not_meet" in {f.status for f in lk.check(other, only=["represented"]) if "reference" in f.subject}
    counts = found.n[0]
    expected = np.array([0.5, 0.3, 0.2]) * 300
    assert p[-1] == pytest.approx(stats.chisquare(counts, expected).pvalue, abs=0.1)
    for bad in ({"a": 0.5, "b": 0.5}, {"a": 0.5, "b": 0.3, "c": 0.5}):
        with pytest.raises(lk.Refused, match="a share for each group"):
            lk.data_bias(split, "g", reference={"g": bad})


def test_test_people_unlike_training_people_are_seen() -> None:
    train, like = table(0, name="train"), table(1, name="test")
    same = lk.data_bias(Dataset("d", train, like), "g", replicates=500)
    assert same.shift_p[0] > 0.05 and np.nanmin(same.moved_p) > 0.05 and same.parts == ("train", "test")
    contingency = stats.chi2_contingency(same.n).pvalue
    assert same.shift_p[0] == pytest.approx(contingency, abs=0.07)
    unlike = replace(like, y=np.where(like.groups["g"] == "a", 1, like.y))
    keep = np.flatnonzero((like.groups["g"] != "b") | (np.arange(len(like)) % 3 == 0))
    moved = lk.data_bias(Dataset("d", train, unlike[keep]), "g", replicates=500)
    assert moved.shift_p[0] < 0.01 and moved.moved_p[0, 0] < 0.01 and moved.moved_p[0, 1] > 0.05
    assert moved.moved[0, 0] == pytest.approx(1 - train.y[train.groups["g"] == "a"].mean())
    assert "training more than chance gives" in lk.says(moved) and "no more than chance gives" in lk.says(same)


def test_copies_are_counted_in_a_part_and_from_training() -> None:
    train, test = table(0, 200, name="train"), table(1, 100, name="test")
    doubled = train[np.r_[np.arange(200), np.flatnonzero(train.groups["g"] == "c")]]
    mixed = replace(test, x=np.concatenate([train.x[:20], test.x[20:]]))
    found = lk.data_bias(Dataset("d", doubled, mixed), "g", replicates=100)
    copy, seen = (found.rates.index(r) for r in ("same inputs as another", "same inputs as a training row"))
    assert found.value[0, copy].tolist() == [0, 0, 1]
    assert found.hits[1, seen].sum() == 20 and np.isnan(found.value[0, seen]).all()
    assert np.isnan(found.moved[copy]).all()


def test_a_legitimate_factor_explains_a_difference_or_does_not() -> None:
    """Labels depend on the level alone, levels on the group (Simpson): equal at equal levels."""
    generator = np.random.default_rng(0)
    n = 4000
    group = generator.integers(0, 2, n)
    level = (generator.random(n) < np.where(group == 1, 0.8, 0.2)).astype(int)
    y = (generator.random(n) < np.where(level == 1, 0.7, 0.2)).astype(int)
    p = lk.Predictions(
        provenance=Provenance(analysis="predict", version=""), y=y, label=y, classes=("0", "1"),
        groups={"g": group.astype(str), "level": level.astype(str)},
    )  # fmt: skip
    found = lk.data_bias(p, "g", within="level", replicates=500)
    assert found.difference[0, 0, 0] > 0.2 and found.p[0, 0, 0] < 0.001
    assert found.adjusted_difference[0, 0] < 0.05 and found.adjusted_p[0, 0] > 0.05 and found.adjusted_low[0, 0] == 0
    slow = [np.mean([y[(group == g) & (level == s)].mean() for s in level]) for g in (0, 1)]
    assert found.adjusted[0] == pytest.approx(slow)
    far = []
    for _ in range(200):
        mixed = group.copy()
        for s in (0, 1):
            mixed[level == s] = generator.permutation(mixed[level == s])
        rates = [[y[(mixed == g) & (level == s)].mean() for s in (0, 1)] @ np.bincount(level) / n for g in (0, 1)]
        far.append(abs(rates[0] - rates[1]))
    assert found.adjusted_null95[0, 0] == pytest.approx(np.quantile(far, 0.95), rel=0.25)
    unfair = replace(p, y=np.where((group == 1) & (generator.random(n) < 0.3), 1, y))
    assert lk.data_bias(unfair, "g", within="level", replicates=500).adjusted_p[0, 0] < 0.01
    assert "At equal level" in lk.check(found, only=["even_data"])[0].says
    with pytest.raises(lk.Refused, match="one of them, or a table's column"):
        lk.data_bias(p, "g", within="nowhere")


def test_texts_and_images_are_told_by_length_and_light() -> None:
    generator = np.random.default_rng(0)
    group = np.repeat(["a", "b"], 100)
    long = np.where(group == "a", 12, 6) + generator.integers(0, 4, 200)
    x = (np.arange(20) < long[:, None]) * generator.integers(2, 50, (200, 20))
    text = Schema("text", "y", (20,), vocabulary=tuple(map(str, range(50))), groups=("g",))
    split = Split(x.astype(np.int64), np.arange(200) % 2, text, ("n", "p"), "texts", {"g": group})
    found = lk.data_bias(split, "g", replicates=200)
    at = found.rates.index("longer than the median text")
    assert found.value[0, at, 0] > 0.9 and found.value[0, at, 1] < 0.1 and found.p_holm[0, at, 0] < 0.001
    image = Schema("image", "y", (1, 2, 2), bounds=(0, 1), groups=("g",))
    light = np.where(group == "a", 0.4, 0.6)[:, None, None, None] + generator.normal(0, 0.1, (200, 1, 2, 2))
    seen = lk.data_bias(Split(light.astype(np.float32), split.y, image, ("n", "p"), "images", {"g": group}), "g")
    assert seen.difference[0, seen.rates.index("brighter than the median image"), 0] > 0.5


def test_counted_predictions_and_those_without_truth_are_taken() -> None:
    p = lk.Predictions(
        provenance=Provenance(analysis="predict", version=""),
        y=np.array([0, 1, 0, 1]), label=np.zeros(4, int), classes=("0", "1"),
        groups={"g": np.array(["a", "a", "b", ""])}, count=np.array([40, 60, 50, 7]),
    )  # fmt: skip
    found = lk.data_bias(p, "g", replicates=100)
    assert found.n[0].tolist() == [100, 50] and found.value[0, 0].tolist() == [0.6, 0.0] and found.unknown[0, 0] == 7
    assert any("7 of 157 people" in w for w in found.warnings)
    blind = lk.data_bias(replace(p, y=np.full(4, -1)), "g", replicates=100)
    assert blind.rates == () and blind.share[0].tolist() == [100 / 150, 50 / 150]
    assert lk.says(blind) and lk.figure(blind) and lk.check(blind)


def test_several_classes_and_what_is_refused() -> None:
    split = replace(table(0), y=np.arange(800) % 3, classes=("x", "y", "z"))
    assert lk.data_bias(split, "g", replicates=100).labels == 3
    assert lk.data_bias(split, "g", positive="z", replicates=100).rates[0] == "label z"
    with pytest.raises(lk.Refused, match="classes looked at"):
        lk.data_bias(split, "g", within="job")
    with pytest.raises(lk.Refused):
        lk.data_bias(split, "nowhere")
    with pytest.raises(lk.Refused, match="a Split"):
        lk.data_bias(np.zeros(3), "g")


def test_it_is_drawn_told_and_kept(tmp_path) -> None:
    found = lk.data_bias(Dataset("d", table(0, gap=0.3, name="train"), table(1, 90, name="test")), "g", replicates=100)
    assert "Label yes in train" in lk.says(found) and "Too few people in test" in lk.says(found)
    assert len(lk.rows(found)) == 6 and len(lk.figure(found).data) == 2 * 5
    lk.save(found, tmp_path / "a.lk")
    assert lk.load(tmp_path / "a.lk").digest == found.digest
    again = lk.data_bias(Dataset("d", table(0, gap=0.3, name="train"), table(1, 90, name="test")), "g", replicates=100)
    assert again.digest == found.digest
