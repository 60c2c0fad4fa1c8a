"""Memorisation: counts re-derived the slow way, nulls that hold, planted wrong labels that rank first, twins that do not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom
from torch import nn
from trained import train

import labkit as lk
from labkit.analyses._memory import Counts, largest_influence, majority, parts_of
from labkit.core import intervals
from labkit.data.split import Dataset
from labkit.training.damage import LabelNoise
from labkit.training.many import Fit
from labkit.views._static import svg


def test_every_model_sees_as_many_rows_and_every_row_as_many_models() -> None:
    for models, n, share in ((16, 50, 0.7), (9, 31, 0.5), (20, 10, 0.9)):
        saw = parts_of(models, n, share, np.random.default_rng(0))
        assert (saw.sum(1) == round(share * n)).all() and np.ptp(saw.sum(0)) <= 1
    pairs = np.array([np.corrcoef(parts_of(40, 12, 0.5, np.random.default_rng(s)).T)[0, 1] for s in range(200)])
    assert abs(pairs.mean()) < 0.15, "rows go together by chance alone"


def test_counts_are_what_a_loop_finds() -> None:
    rng = np.random.default_rng(1)
    saw, right = parts_of(12, 9, 0.7, rng), rng.random((12, 9)) < 0.6
    counts = Counts.of(saw, right)
    for i in range(9):
        inside = [right[m, i] for m in range(12) if saw[m, i]]
        outside = [right[m, i] for m in range(12) if not saw[m, i]]
        assert counts.value[i] == pytest.approx(np.mean(inside) - np.mean(outside))
        assert (counts.inside[i], counts.right_outside[i]) == (len(inside), sum(outside))
    labels = rng.integers(0, 3, (12, 9))
    for i, found in enumerate(majority(labels, ~saw, 3)):
        votes = np.bincount(labels[~saw[:, i], i], minlength=3)
        assert votes[found] == votes.max()


def test_what_chance_shows_is_the_hypergeometric_share() -> None:
    counts = Counts(np.array([3, 5, 7]), np.array([7, 7, 6]), np.array([1, 0, 2]), np.array([3, 3, 4]))
    level = np.array([0.0, 0.3, 0.9])
    slow = np.zeros(3)
    for i, (j, line) in product(range(3), enumerate(level)):
        right, inside = counts.right_inside[i] + counts.right_outside[i], counts.inside[i]
        for hits in range(max(0, right - (10 - inside)), min(right, inside) + 1):
            value = hits / inside - (right - hits) / (10 - inside)
            slow[j] += hypergeom.pmf(hits, 10, right, inside) * (value >= line - 1e-9)
    assert counts.expected_at(level) == pytest.approx(slow)
    drawn = counts.by_chance(4000, np.random.default_rng(0))
    assert (drawn[:, :, None] >= level - 1e-9).sum(1).mean(0) == pytest.approx(slow, abs=0.05)


def test_where_nothing_is_remembered_the_largest_is_within_chance_and_intervals_cover() -> None:
    rng = np.random.default_rng(2)
    models, n = 40, 60
    alarms, covered = 0, []
    p_in, p_out = rng.uniform(0.3, 1, n), rng.uniform(0, 0.7, n)
    for _ in range(300):
        saw = parts_of(models, n, 0.7, rng)
        same = Counts.of(saw, rng.random((models, n)) < p_in)
        line = np.quantile(same.by_chance(100, rng).max(1), 0.95, method="higher")
        alarms += bool((same.value > line).any())
        low, high = Counts.of(saw, rng.random((models, n)) < np.where(saw, p_in, p_out)).interval
        covered.append(np.mean((low <= p_in - p_out) & (p_in - p_out <= high)))
    assert alarms <= 300 * 0.09
    assert 0.93 < np.mean(covered) < 0.97


def test_influence_is_the_largest_of_all_pairs_and_a_planted_one_comes_first() -> None:
    rng = np.random.default_rng(3)
    saw, right = parts_of(40, 30, 0.7, rng), rng.random((40, 25)) < 0.5
    right[:, 7] = saw[:, 4]
    train_row, test_row, line, count = largest_influence(saw, right, 5, 60, np.random.default_rng(0))
    every = np.array([[right[saw[:, i], j].mean() - right[~saw[:, i], j].mean() for j in range(25)] for i in range(30)])
    assert (train_row[0], test_row[0], every[4, 7]) == (4, 7, 1.0)
    assert every[train_row, test_row] == pytest.approx(-np.sort(-every.ravel())[:5], abs=1e-6)
    assert 0.4 < line < 1 and count == (every > line + 1e-6).sum() >= 1


def test_giving_back_as_many_labels_in_test_is_no_remembering() -> None:
    """Twins of the audited model that are right on equally many hard rows of either part: false alarms of the check."""
    rng = np.random.default_rng(4)
    p = rng.uniform(0, 1, 20_000)
    for n, m in ((40, 40), (400, 150)):
        low, _ = intervals.newcombe(rng.binomial(n, p), n, rng.binomial(m, p), m)
        assert np.mean(low > 0.05) <= 0.01


def noisy(digits: Dataset, n: int) -> tuple[Dataset, np.ndarray]:
    """Digits of which a tenth has a wrong label, and which of the training rows have."""
    parts = [LabelNoise(0.1, seed=s)(part[:n]) for s, part in enumerate(digits)]
    return Dataset("noisy", *parts), parts[0].y != digits.train.y[:n]


QUICK = {"models": 20, "fit": Fit(epochs=30, rate=5e-3), "rows": 300}


@pytest.fixture(scope="module")
def found(digits: Dataset):
    data, wrong = noisy(digits, 300)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    model = lk.wrap(train(net, data.train, 200, 1e-2), classes=data.classes, name="rote")
    assert (lk.predict(model, data.train).label == data.train.y).all()
    return data, wrong, model, lk.memorization(model, data, show=4, **QUICK)


def test_wrong_labels_rank_first_and_a_model_that_knows_them_by_heart_is_told(found) -> None:
    _, wrong, _, record = found
    _, low, _ = intervals.delong(wrong.astype(int), record.value)
    assert low > 0.85 and wrong[record.ranked[:10]].mean() >= 0.8
    assert record.above >= 10 and record.rows_at[10] > 5 * record.chance_at[10]
    assert record.hard == (record.answer != record.label).sum() >= wrong.sum() * 0.8
    assert record.given_back == record.hard, "it gives every label back"
    (finding,) = lk.check(record)
    assert finding.status == "does_not_meet" and finding.low > 0.05
    assert (record.answer[record.shown] != record.label[record.shown]).all()
    assert record.pictures.shape == (4, 1, 8, 8)


def test_a_twin_that_never_saw_the_rows_remembers_none(found, digits: Dataset) -> None:
    data, _, _, record = found
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    twin = lk.wrap(train(net, LabelNoise(0.1, seed=9)(digits.train[300:600]), 200, 1e-2), classes=data.classes)
    other = lk.memorization(twin, data, **QUICK)
    assert other.remembered[1] <= 0 <= other.remembered[2]
    (finding,) = lk.check(other)
    assert finding.status in ("meets", "inconclusive")
    assert (other.value == record.value).all(), "what the learner memorises has nothing to do with the audited model"


def test_the_record_is_kept_and_shown(found, tmp_path) -> None:
    record = found[3]
    assert lk.load(lk.save(record, tmp_path / "m.lk")).digest == record.digest
    assert "300 of" not in lk.says(record) and "rote" in lk.says(record)
    table = lk.rows(record)
    assert len(table) == 300 and table["memorisation"].is_monotonic_decreasing
    for shown in (record, replace(record, pictures=None, gives_label=None, model="")):
        assert "<svg" in svg(lk.figure(shown), name="m")


def test_without_a_model_the_learner_alone_is_told_of_the_same_each_time_and_nobodys_rows_are_kept(
    digits: Dataset,
) -> None:
    data, _ = noisy(digits, 60)
    again = Dataset("again", data.train, replace(data.test, x=np.concatenate([data.train.x[:10], data.test.x[10:]])))
    record, same = (lk.memorization(None, again, models=8, fit=Fit(epochs=2)) for _ in range(2))
    assert record.digest == same.digest
    assert record.pictures is None and not record.texts and record.gives_label is None
    assert record.n_test == 50 and "10 test rows are copies" in record.warnings[0]
    (finding,) = lk.check(record)
    assert finding.status == "not_measured" and "learner" in lk.says(replace(record, learner="learner"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: (d.train, {}), "a Dataset with training and test rows"),
        (lambda d: (Dataset("d", d.train, d.train), {}), "not trained on"),
        (lambda d: (Dataset("d", d.train[:20], d.test), {}), "at least 30"),
        (lambda d: (Dataset("d", d.train[d.train.y == 3], d.test), {}), "two classes or more"),
        (lambda d: (Dataset("d", d.train, d.train[:40]), {}), "no copies"),
        (lambda d: (Dataset("d", d.train, replace(d.test, x=d.test.x * np.nan)), {}), "NaN or infinite"),
        (lambda d: (d, {"models": 4}), "from 8"),
        (lambda d: (d, {"models": 8, "share": 0.9}), "two leave each row out"),
        (lambda d: (d, {"learner": "trees"}), "network"),
        (lambda d: (d, {"learner": "own"}), "network"),
    ],
)
def test_what_cannot_be_told_is_refused(digits: Dataset, change, words: str) -> None:
    data, options = change(digits)
    with pytest.raises(lk.Refused) as refused:
        lk.memorization(None, data, **options)
    assert words in str(refused.value)
