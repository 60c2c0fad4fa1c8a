"""Shift between two parts: planted by feature, together, in classes and in what is new; a clean split stays quiet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import labkit as lk
from labkit.analyses._shift import features, whole
from labkit.checks.same_distribution import same_distribution
from labkit.core.refused import Refused
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.views import distribution_shift as view
from labkit.views._static import svg


def split(x: np.ndarray, y: np.ndarray, name: str = "made") -> Split:
    columns = [Feature(f"x{i}", "numeric") for i in range(x.shape[1] - 1)]
    columns.append(Feature("kind", "categorical", categories=("a", "b", "c", "d")))
    schema = Schema("tabular", "y", (x.shape[1],), features=tuple(columns))
    return Split(x.astype(np.float32), y, schema, ("no", "yes"), name)


def drawn(n: int, generator: np.random.Generator, base: float = 0.5) -> Split:
    y = (generator.random(n) < base).astype(np.int64)
    x = generator.normal(size=(n, 4)) + y[:, None]
    return split(np.c_[x, generator.integers(0, 3, n)], y)


def statuses(record) -> dict[str, str]:
    return {f.subject: f.status for f in same_distribution(record)}


def parts(change=lambda s: s, n: int = 500, seed: int = 0) -> list[Split]:
    generator = np.random.default_rng(seed)
    return [drawn(n, generator), change(drawn(n, generator))]


@pytest.mark.parametrize("name", ["german", "compas"])
def test_clean_splits_raise_no_alarm(name: str) -> None:
    record = lk.distribution_shift(lk.data.load(name), rows=300)
    assert set(statuses(record).values()) <= {"meets", "inconclusive"}


def test_a_moved_number_is_named_with_its_size() -> None:
    def moved(s: Split) -> Split:
        x = s.x.copy()
        x[:, 2] += 1.5
        return replace(s, x=x)

    record = lk.distribution_shift(parts(moved), rows=400)
    at = record.features.index("x2")
    assert abs(record.difference[at] - 1.5 / np.sqrt(1.25)) < 0.2 and record.p[at] < 1e-6 and record.low[at] > 1
    found = statuses(record)
    assert found["features"] == found["all features together"] == "does_not_meet" and found["classes"] == "meets"
    assert record.discrepancy_p < 0.01 and record.psi[at] > 0.25 > record.psi[0]
    assert lk.rows(record)["more than 1 sd apart"].tolist() == [False, False, True, False, False]


def test_a_shift_in_no_single_feature_is_seen_by_trees() -> None:
    def paired(s: Split) -> Split:
        x = s.x.copy()
        x[:, 1] = np.where(np.random.default_rng(0).random(len(s)) < 0.5, x[:, 0], -x[:, 0])
        return replace(s, x=x)

    generator = np.random.default_rng(3)
    first, other = (split(np.c_[generator.normal(size=(800, 4)), np.zeros(800)], np.arange(800) % 2) for _ in range(2))
    record = lk.distribution_shift([first, paired(other)], rows=800)
    assert statuses(record)["features"] == "meets" and statuses(record)["all features together"] == "does_not_meet"


def test_like_parts_are_told_apart_no_more_often_than_p_says(monkeypatch) -> None:
    """Cross-fitted areas of like parts scatter more than those of a guess; p holds all the same."""
    learners = whole.probes.learners
    monkeypatch.setattr(whole.probes, "learners", lambda *a: {"linear": learners(*a)["logistic regression"]})
    small = []
    for seed in range(80):
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(2, 400, 4))
        small.append(whole.told_apart(x[0], x[1], [0] * 4, seed, generator)["linear"][3] < 0.05)
    assert np.mean(small) <= 0.05


def test_new_categories_and_values_out_of_range() -> None:
    def new(s: Split) -> Split:
        x = s.x.copy()
        x[:40, 4] = 3
        x[:30, 0] = 50
        return replace(s, x=x)

    record = lk.distribution_shift(parts(new), rows=200)
    assert record.beyond[4] == 40 and 30 <= record.beyond[0] <= 33 and (record.beyond_p[[0, 4]] < 0.01).all()
    assert statuses(record)["values not seen in training"] == "does_not_meet"
    assert record.beyond_p[1] == 1


@pytest.mark.parametrize("values, features_say, unseen_say", [
    ((1.0, 3.0), "does_not_meet", "does_not_meet"),
    ((np.nan, np.nan), "meets", "meets"),
    ((0.0, np.nan), "meets", "meets"),
    ((np.nan, 0.0), "meets", "does_not_meet"),
])  # fmt: skip
def test_columns_of_one_value_or_of_holes_alone(values, features_say: str, unseen_say: str) -> None:
    held = [s.x.copy() for s in parts(n=200)]
    for x, value in zip(held, values):
        x[:, 2] = value
    record = lk.distribution_shift([replace(s, x=x) for s, x in zip(parts(n=200), held)], rows=100)
    found = statuses(record)
    assert (found["features"], found["values not seen in training"]) == (features_say, unseen_say)
    if features_say != "meets":
        assert "x2, which has one value in each part, and not the same" in lk.says(record)
        assert svg(lk.figure(record), name="f").startswith("<svg")


def test_a_range_is_exceeded_as_often_as_is_told() -> None:
    """Of 50 test rows among 100, how likely the two largest are both in test: counted over all draws."""
    generator, hits = np.random.default_rng(0), 0
    for _ in range(4000):
        mixed = generator.permutation(100)
        hits += bool((np.argsort(mixed)[-2:] >= 50).all())
    assert features._outside(2, 50, 50) == pytest.approx(hits / 4000, abs=0.02)


def test_the_effect_of_a_category_is_the_share_that_would_have_to_move() -> None:
    train, test = np.repeat([0, 1, 2], [50, 30, 20]), np.repeat([0, 1, 2], [30, 40, 30])
    found = features.feature(train, test, True, np.random.default_rng(0))
    assert found["difference"] == pytest.approx(0.2) and found["low"] < 0.2 < found["high"]
    from scipy.stats import chi2_contingency

    p = chi2_contingency([[50, 30, 20], [30, 40, 30]], correction=False).pvalue
    assert found["p"] == pytest.approx(p)


def test_the_standardized_difference_covers() -> None:
    generator, held = np.random.default_rng(5), 0
    for _ in range(400):
        a, b = generator.normal(size=60), generator.normal(0.4, size=40)
        found = features.feature(a, b, False, generator)
        held += found["low"] <= 0.4 <= found["high"]
    assert 0.93 <= held / 400 <= 0.97


def test_the_mean_discrepancy_is_its_definition() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(30, 3)), generator.normal(1.2, size=(25, 3))
    value, p = whole.discrepancy(a, b, np.random.default_rng(0))
    z = np.concatenate([a, b])
    z = (z - z.mean(0)) / z.std(0)
    gap = np.square(z[:, None] - z[None]).sum(-1)
    k = np.exp(-gap / np.median(gap[np.triu_indices(55, 1)]))
    off = lambda m: (m.sum() - np.trace(m)) / (len(m) * (len(m) - 1))  # noqa: E731
    assert value == pytest.approx(off(k[:30, :30]) + off(k[30:, 30:]) - 2 * k[:30, 30:].mean())
    assert p <= 0.02


def test_shares_of_classes_are_told_without_test_labels() -> None:
    generator, held = np.random.default_rng(2), 0

    def answered(n: int, share: float) -> tuple[np.ndarray, np.ndarray]:
        y = (generator.random(n) < share).astype(int)
        return y, np.where(generator.random(n) < 0.15, 1 - y, y)

    for _ in range(60):
        y, label = answered(1000, 0.5)
        told = whole.estimated_shares(y, label, answered(600, 0.8)[1], 2, generator)
        held += told[1, 1] <= 0.8 <= told[2, 1]
    assert held >= 53 and told[0].sum() == pytest.approx(1, abs=1e-6)
    assert np.isnan(whole.estimated_shares(y, np.zeros_like(y), label, 2, generator)).all()


def test_a_change_of_classes_is_told_by_labels_and_by_answers() -> None:
    generator = np.random.default_rng(0)
    first, other = drawn(800, generator), drawn(800, generator, 0.8)
    answers = [
        lk.Predictions.from_frame(_frame(s), y="y", label="label", classes=["no", "yes"]) for s in (first, other)
    ]
    record = lk.distribution_shift([first, other], predictions=answers, rows=200)
    assert statuses(record)["classes"] == "does_not_meet"
    assert record.estimated_low[1] < other.y.mean() < record.estimated_high[1]
    assert len(view.classes(record)) == 2


def _frame(s: Split):
    import pandas as pd

    names = np.array(["no", "yes"])
    return pd.DataFrame({"y": names[s.y], "label": names[(s.x[:, :4].sum(1) > 2).astype(int)]})


def test_in_a_models_features(mlp, digits: Dataset) -> None:
    clean = lk.distribution_shift(digits, model=mlp, rows=300)
    assert statuses(clean)["all features together"] != "does_not_meet" and clean.learners == ("linear probe",)
    turned = replace(digits.test, x=digits.test.x[:, :, ::-1].copy())
    record = lk.distribution_shift([digits.train, turned], model=mlp, rows=300)
    assert statuses(record)["all features together"] == "does_not_meet" and record.discrepancy_p < 0.01


def test_words_that_no_training_text_has() -> None:
    movies = lk.data.load("movies")
    some = np.random.default_rng(0).permutation(len(movies.train))[:600]
    whole_part = movies.train[some]
    clean = lk.distribution_shift([whole_part[:400], whole_part[400:]], rows=200)
    assert statuses(clean)["values not seen in training"] in ("meets", "inconclusive") and clean.words_p > 0.01
    strange = tuple(t + " zyxw qqrs vvnm" + str(i) for i, t in enumerate(whole_part.texts[400:]))
    record = lk.distribution_shift([whole_part[:400], replace(whole_part[400:], texts=strange)], rows=200)
    assert statuses(record)["values not seen in training"] == "does_not_meet"


@pytest.mark.parametrize("case", ["one part", "same", "few", "other shape", "other classes", "infinite"])
def test_bad_input_is_refused(case: str, digits: Dataset) -> None:
    first, other = parts(n=60)
    given = {
        "one part": [first],
        "same": [first, first],
        "few": [first, other[:29]],
        "other shape": [first, digits.test],
        "other classes": [first, replace(other, classes=("yes", "no"))],
        "infinite": [first, replace(other, x=np.where(other.x == other.x[3, 1], np.inf, other.x))],
    }[case]
    with pytest.raises(Refused):
        lk.distribution_shift(given)


def test_the_record_is_kept_drawn_and_told(tmp_path) -> None:
    record = lk.distribution_shift(parts(n=120), rows=100)
    assert lk.load(lk.save(record, tmp_path / "r.lk")).digest == record.digest
    assert lk.distribution_shift(parts(n=120), rows=100).digest == record.digest
    assert svg(lk.figure(record), name="f").startswith("<svg") and "told from 120 training rows" in lk.says(record)
