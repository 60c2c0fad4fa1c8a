"""The gap with validation data, with several training runs, and without training data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.views._static import svg


def answers(y: np.ndarray, right: np.ndarray, score: bool = False) -> lk.Predictions:
    frame = pd.DataFrame({"y": y, "label": np.where(right, y, 1 - y)})
    frame["score"] = np.where(frame["label"] == 1, 0.8, 0.2)
    return lk.Predictions.from_frame(
        frame, y="y", label="label", score="score" if score else None, classes=[0, 1], name="made"
    )


def made(n: int, accuracy: float, seed: int, **more: bool) -> lk.Predictions:
    generator = np.random.default_rng(seed)
    return answers(generator.integers(0, 2, n), generator.random(n) < accuracy, **more)


def test_validation_stands_between_and_changes_nothing_else() -> None:
    train, held, test = made(400, 0.9, 0), made(200, 0.85, 1), made(300, 0.7, 2)
    with_it = lk.generalization_gap(train, test, validation=held)
    without = lk.generalization_gap(train, test)
    assert with_it.n_validation == 200 and with_it.validation == pytest.approx((held.y == held.label).mean())
    assert with_it.validation_low < with_it.validation < with_it.validation_high
    assert (with_it.gap, with_it.gap_low, with_it.gap_high) == (without.gap, without.gap_low, without.gap_high)
    assert without.n_validation == 0 and np.isnan(without.validation)
    table = lk.rows(with_it)
    assert list(table["data"]) == ["training", "validation", "test", "gap"] and list(table["n"]) == [400, 200, 300, 700]
    assert "200 validation rows" in lk.says(with_it) and "validation" not in lk.says(without)
    assert "training, validation and test" in svg(lk.figure(with_it), name="gap")


def test_without_training_data_what_can_be_measured_is() -> None:
    test = made(300, 0.8, 2)
    found = lk.generalization_gap(None, test)
    assert found.status == "measured" and found.test == pytest.approx((test.y == test.label).mean())
    assert np.isnan([found.train, found.gap, found.gap_low]).all() and found.duplicates == -1
    told = {f.check: f for f in lk.check(found)}
    assert told["overfitting"].status == told["duplicate_rows"].status == "not_measured"
    assert "no training data" in told["overfitting"].says and "no training data" in lk.says(found)
    assert told["beats_majority"].status == "meets" and told["labels_in_order"].status == "meets"
    assert list(lk.rows(found)["data"]) == ["test"] and len(lk.figure(found).data) == 1
    assert any("no training data" in w for w in found.warnings)


def one_way_to_train(count: int, seed: int, train: float, test: float, noise: float) -> tuple[list, list]:
    """Runs whose true accuracies differ by ``noise``, on rows of which some are hard for every run."""
    generator = np.random.default_rng(seed)
    y, new = generator.integers(0, 2, 400), generator.integers(0, 2, 250)
    hard = [generator.random(len(v)) < 0.1 for v in (y, new)]
    away = generator.normal(0, noise, count)
    sides = []
    for truth, difficult, share in ((y, hard[0], train), (new, hard[1], test)):
        chance = np.clip((share + away) / 0.9, 0, 1)
        right = (generator.random((count, len(truth))) < chance[:, None]) & ~difficult
        sides.append([answers(truth, r) for r in right])
    return sides[0], sides[1]


def test_several_runs_count_the_noise_of_training() -> None:
    inside = 0
    for seed in range(40):
        train, test = one_way_to_train(4, seed, 0.85, 0.75, 0.0)
        found = lk.generalization_gap(train, test, replicates=100, seed=seed)
        inside += found.gap_low <= 0.1 <= found.gap_high
    assert inside >= 35
    assert found.method == "rows and runs" and found.runs_test.shape == (4,)
    assert found.gap == pytest.approx((found.runs_train - found.runs_test).mean())
    train, test = one_way_to_train(4, 1, 0.85, 0.75, 0.0)
    noisy = one_way_to_train(4, 1, 0.85, 0.75, 0.1)[1]
    still, moving = (lk.generalization_gap(train, t, replicates=100) for t in (test, noisy))
    assert moving.test_high - moving.test_low > 1.5 * (still.test_high - still.test_low)
    assert moving.gap_high - moving.gap_low > 1.5 * (still.gap_high - still.gap_low), "runs are in the gap's interval"
    assert "4 training runs" in lk.says(found) and "mean of 4" in svg(lk.figure(found), name="gap")
    assert lk.check(found, only=["overfitting"])[0].status in ("does_not_meet", "inconclusive")


def test_runs_that_all_know_their_rows_by_heart_are_as_sure_as_their_rows() -> None:
    """All right on 50 rows in each of three runs: Wilson's ends, and no interval of no width."""
    train = [made(50, 1.0, 3)] * 3
    tests = [answers(train[0].y, np.arange(50) % 4 > i) for i in range(3)]
    gap = lk.generalization_gap(train, tests)
    alone = lk.generalization_gap(train[0], tests[0])
    assert (gap.train, gap.train_low, gap.train_high) == (1.0, alone.train_low, alone.train_high) and gap.train_low < 1
    assert gap.gap_low < gap.gap < gap.gap_high


def test_runs_must_go_together() -> None:
    train, test = one_way_to_train(3, 0, 0.9, 0.8, 0.02)
    with pytest.raises(lk.Refused, match="3 runs on training data and 2 on test"):
        lk.generalization_gap(train, test[:2])
    with pytest.raises(lk.Refused, match="truth differs"):
        lk.generalization_gap(train, [*test[:2], made(250, 0.8, 9)])
    with pytest.raises(lk.Refused, match="a str as train"):
        lk.generalization_gap("fashion", test)
    with pytest.raises(lk.Refused, match="no test data"):
        lk.generalization_gap(train, None)
    with pytest.raises(lk.Refused, match="the same 400 rows twice"):
        lk.generalization_gap(train[0], test[0], validation=answers(train[0].y, train[0].y == train[0].label))


def test_bad_input_is_named() -> None:
    test = made(20, 0.8, 2)
    few = lk.generalization_gap(made(100, 0.9, 0), test)
    assert any("20 test rows: fewer than 30" in w for w in few.warnings)
    assert lk.check(few, only=["overfitting"])[0].status == "inconclusive"
    alone = answers(np.ones(50, int), np.arange(50) % 5 > 0)
    one = lk.generalization_gap(made(100, 0.9, 0), alone)
    assert any("every test row is of the class '1'" in w for w in one.warnings)
    undefined = lk.generalization_gap(
        made(100, 0.9, 0, score=True), answers(np.ones(50, int), np.ones(50, bool), True), "auc"
    )
    assert undefined.status == "not_measured" and "both classes" in undefined.reason
    with pytest.raises(lk.Refused, match="predictions with probabilities"):
        lk.generalization_gap(made(100, 0.9, 0), made(90, 0.8, 1), "auc")
    assert any("no probabilities" in w for w in lk.generalization_gap(made(100, 0.9, 0), made(90, 0.8, 1)).warnings)
    single = lk.Predictions.from_frame(pd.DataFrame({"y": ["a"] * 40, "l": ["a"] * 40}), y="y", label="l")
    with pytest.raises(lk.Refused, match="one class"):
        lk.generalization_gap(None, single)


def test_it_is_stored_and_read_again(tmp_path) -> None:
    train, test = one_way_to_train(3, 0, 0.9, 0.8, 0.02)
    found = lk.generalization_gap(train, test, validation=[made(100, 0.8, 5)] * 3, replicates=100)
    assert lk.load(lk.save(found, tmp_path / "gap.lk")).digest == found.digest
