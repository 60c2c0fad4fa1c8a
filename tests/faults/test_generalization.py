"""Faults that make a model look as if it knew: each is named, and its sound twin is not flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from torch import nn

import labkit as lk
from labkit.analyses.predict import row_hashes
from labkit.core.record import Provenance
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.training.many import Fit


def told(record, check: str):
    return lk.check(record, only=[check])[0]


def predictions(y, label, x=None, classes: int = 2) -> lk.Predictions:
    about = Provenance(analysis="a test", version=lk.__version__)
    return lk.Predictions(
        provenance=about,
        y=np.asarray(y, np.int64),
        label=np.asarray(label, np.int64),
        classes=tuple(map(str, range(classes))),
        row=None if x is None else row_hashes(x),
    )


def table(x: np.ndarray, y: np.ndarray, name: str = "made") -> Split:
    schema = Schema(
        "tabular", "y", (x.shape[1],), features=tuple(Feature(f"x{i}", "numeric") for i in range(x.shape[1]))
    )
    return Split(np.asarray(x, np.float32), np.asarray(y, np.int64), schema, ("no", "yes"), name)


def cut(x: np.ndarray, y: np.ndarray, n: int) -> Dataset:
    whole = table(x, y)
    return Dataset("made", whole[:n], whole[n:])


def people(n: int = 900, seed: int = 0, columns: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Rows of which the first column tells the label, not surely."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, columns))
    return x, (x[:, 0] + generator.normal(size=n) > 0).astype(int)


def leaks(data: Dataset, **more) -> dict[str, str]:
    """What ``no_leakage`` says, by kind of leak."""
    found = lk.leakage(data, rows=300, **more)
    return {kind: f.status for kind, f in zip(found.leak, lk.check(found, only=["no_leakage"]), strict=True)}


def nearest(x: np.ndarray, y: np.ndarray) -> lk.Predictions:
    """One nearest neighbor on a random split in three and two thirds; returns the gap it shows."""
    order = np.random.default_rng(0).permutation(len(x))
    a, b = np.split(order, [len(x) * 2 // 3])
    distance = ((x[b][:, None] - x[a][None]) ** 2).sum(2)
    return lk.generalization_gap(
        predictions(y[a], y[a], x[a]), predictions(y[b], y[a][distance.argmin(1)], x[b]), seed=0
    )


def test_g01_copies_of_training_rows_among_the_test_rows() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(600, 8)), generator.integers(0, 2, 600)
    copied = nearest(np.r_[x, x[:300]], np.r_[y, y[:300]])
    assert copied.test > 0.6, "noise that looks like knowledge"
    found = told(copied, "duplicate_rows")
    assert found.status == "does_not_meet" and "also stand in the training data" in found.says
    assert copied.unseen_low < 0.5 < copied.unseen_high, "the honest value stands beside it"
    assert told(nearest(x, y), "duplicate_rows").status == "meets"


def test_g01_people_of_few_categories_who_look_alike_are_no_copies() -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 3, (900, 4)).astype(float)
    y = (generator.random(900) < 0.3 + 0.2 * x[:, 0]).astype(int)
    found = told(nearest(x, y), "duplicate_rows")
    assert found.status == "inconclusive" and "another label" in found.says


def test_g06_shifted_labels_contradict_the_accuracy(digits, mlp) -> None:
    train, test = lk.predict(mlp, digits.train), lk.predict(mlp, digits.test)
    shifted = predictions((test.y + 1) % 10, test.label, classes=10)
    sound = predictions(train.y, train.label, classes=10)
    found = lk.generalization_gap(sound, shifted)
    assert found.status == "contradicted" and "adding 1 to every answer" in found.reason
    assert found.relabelled > 0.9 and told(found, "labels_in_order").status == "does_not_meet"
    assert "Contradicted" in lk.says(found)
    assert told(lk.generalization_gap(train, test), "labels_in_order").status == "meets"


def test_g14_classes_in_another_order_contradict_the_accuracy() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 5, 500)
    renamed = np.array([3, 0, 4, 1, 2])[y]
    found = lk.generalization_gap(predictions(y[:400], y[:400], classes=5), predictions(y, renamed, classes=5))
    assert found.status == "contradicted" and "renaming the classes gives 1.000" in found.reason


def test_a_model_that_is_simply_bad_is_not_called_mislabelled() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 10, 500)
    found = lk.generalization_gap(
        predictions(y, y, classes=10), predictions(y[:400], generator.integers(0, 10, 400), classes=10)
    )
    assert found.status == "measured" and told(found, "labels_in_order").status == "meets"


def test_g08_the_majority_class_is_no_skill() -> None:
    generator = np.random.default_rng(0)
    y = (generator.random(2000) < 0.05).astype(int)
    constant = lk.generalization_gap(predictions(y[:1500], np.zeros(1500)), predictions(y[1500:], np.zeros(500)))
    found = told(constant, "beats_majority")
    assert constant.test > 0.93 and found.status == "does_not_meet" and "balanced accuracy 0.50" in found.says
    label = np.where(generator.random(2000) < 0.9, y, 1 - y)
    even = np.arange(2000) % 2
    better = lk.generalization_gap(
        predictions(even[:1500], even[:1500]),
        predictions(even[1500:], np.where(label[1500:] == y[1500:], even[1500:], 0)),
    )
    assert told(better, "beats_majority").status == "meets"


def test_g07_the_calibration_error_of_a_calibrated_model_is_within_its_null() -> None:
    statuses = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        s = generator.random(200)
        frame = pd.DataFrame({"y": (generator.random(200) < s).astype(int), "s": s})
        p = lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5)
        statuses.append(told(lk.calibration(p, replicates=300, seed=seed), "calibrated").status)
    assert statuses.count("does_not_meet") <= 2, "1 of 100 and what 40 runs add"
    frame["s"] = (s > 0.5) * 0.98 + 0.01
    p = lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5)
    assert told(lk.calibration(p, replicates=200), "calibrated").status == "does_not_meet"


def test_g02_near_copies_of_training_rows() -> None:
    x, y = people()
    clean = leaks(cut(x, y, 600))
    x[600:660] = x[:60] + 0.01 * np.random.default_rng(1).normal(size=(60, 8))
    found = leaks(cut(x, y, 600))
    assert found["near copies"] == "does_not_meet" and found["exact copies"] == "meets"
    assert "does_not_meet" not in clean.values()


def test_g03_a_column_is_the_answer_in_other_clothes() -> None:
    x, y = people(1000)
    leaked = np.c_[x, y * 3 + np.random.default_rng(1).normal(scale=0.01, size=1000)]
    assert leaks(cut(leaked, y, 750))["label in one column"] == "does_not_meet"
    assert leaks(cut(x, y, 750))["label in one column"] == "meets"


def test_g04_the_same_people_on_both_sides() -> None:
    x, y = people()
    data, who = cut(x, y, 600), np.arange(900)
    shared = np.random.default_rng(0).permutation(who) // 3
    for person, status in ((shared, "does_not_meet"), (who, "meets")):
        frames = [pd.DataFrame({"patient_id": person[s]}) for s in (slice(600), slice(600, 900))]
        assert leaks(data, frames=frames)["shared ids"] == status
    assert leaks(data)["shared ids"] == "not_measured"


def test_g05_columns_chosen_before_the_split() -> None:
    generator = np.random.default_rng(0)
    whole = table(generator.normal(size=(100, 2000)), generator.integers(0, 2, 100))

    def before(x, y):
        x = SelectKBest(k=20).fit_transform(x, y)
        return LogisticRegression().fit(x[:70], y[:70]).score(x[70:], y[70:])

    def after(x, y):
        pick = SelectKBest(k=20).fit(x[:70], y[:70])
        return LogisticRegression().fit(pick.transform(x[:70]), y[:70]).score(pick.transform(x[70:]), y[70:])

    for procedure, status in ((before, {"does_not_meet"}), (after, {"meets", "inconclusive"})):
        found = lk.random_labels(whole, procedure=procedure, chance=0.5, share=())
        assert told(found, "permuted_labels_at_chance").status in status


def test_g09_what_is_served_is_in_another_unit() -> None:
    x, y = people(columns=4)
    clean = cut(x, y, 600)
    served = x[600:].copy()
    served[:, 2] = served[:, 2] * 2.54 + 1
    skewed = Dataset("served", clean.train, table(served, y[600:]))
    found = {f.subject: f for f in lk.check(lk.distribution_shift(skewed, rows=300), only=["same_distribution"])}
    assert found["features"].status == "does_not_meet" and "x2" in found["features"].says
    sound = lk.check(lk.distribution_shift(clean, rows=300), only=["same_distribution"])
    assert "does_not_meet" not in [f.status for f in sound]


def test_g10_one_procedure_from_other_seeds_is_no_better() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 500)

    def run(right: float) -> lk.Predictions:
        return predictions(y, np.where(generator.random(500) < right, y, 1 - y))

    runs = [run(0.75) for _ in range(6)]
    for a, b in ((runs[0], runs[1]), (runs[:3], runs[3:])):
        assert told(lk.compare_models(a, b, "accuracy"), "no_regression").status in ("inconclusive", "meets")
    assert told(lk.compare_models(runs[0], run(0.5), "accuracy"), "no_regression").status == "does_not_meet"


def test_g11_the_best_of_two_hundred_guesses_chosen_on_the_test_rows(tmp_path) -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 100)
    guesses = [predictions(y, generator.integers(0, 2, 100)) for _ in range(200)]
    best = max(guesses, key=lambda p: (p.y == p.label).mean())
    found = lk.winners_curse(guesses)
    assert found.naive > 0.6 and found.corrected_low < 0.52
    assert told(found, "survives_selection").status in ("does_not_meet", "inconclusive")
    with lk.ledger(tmp_path / "looks.jsonl"):
        for p in guesses[:12]:
            gap = lk.generalization_gap(None, p)
    assert told(gap, "looked_at_once").status == "does_not_meet"
    with lk.ledger(tmp_path / "fresh.jsonl"):
        assert told(lk.generalization_gap(None, best), "looked_at_once").status == "meets"
    ahead = [predictions(y, np.where(generator.random(100) < r, y, 1 - y)) for r in (0.95, 0.5, 0.5, 0.5)]
    assert told(lk.winners_curse(ahead), "survives_selection").status == "meets"


class ByHeart(nn.Module):
    """Gives back the label of a training row, and the first column's of any other."""

    def __init__(self, split: Split) -> None:
        super().__init__()
        self.register_buffer("x", torch.tensor(split.x))
        self.register_buffer("y", torch.tensor(split.y))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        distance, at = torch.cdist(x, self.x).min(1)
        return torch.where(distance[:, None] < 1e-3, 8.0 * nn.functional.one_hot(self.y[at], 2), rule(x))


def rule(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([-x[:, 0], x[:, 0]], 1)


def attacked(data: Dataset, module: nn.Module, **more):
    model = lk.wrap(module, classes=data.train.classes, name="model")
    return lk.membership_inference(model, data, fit=Fit(epochs=3), **{"shadows": 4, "fpr": (0.05, 0.1), **more})


class Rule(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return rule(x)


def test_g12_membership_that_a_guess_without_the_model_tells() -> None:
    data = cut(*people(1200), 600)
    other = replace(data, test=replace(data.test, x=data.test.x + np.float32(0.5)))
    found = attacked(other, Rule())
    assert found.status == "not_measured" and "never asks the model" in found.reason
    assert told(found, "recognized_members").status == "not_measured"
    sound = attacked(data, Rule())
    assert sound.status == "measured" and "does_not_meet" not in [f.status for f in lk.check(sound)]
    assert told(attacked(data, ByHeart(data.train)), "recognized_members").status == "does_not_meet"


def test_g13_false_positives_that_the_sample_cannot_resolve() -> None:
    data = cut(*people(1000), 500)
    found = told(attacked(data, Rule(), shadows=0, fpr=(0.001,)), "recognized_members")
    assert found.status == "not_measured" and "10,000" in found.says
    enough = told(attacked(data, Rule(), shadows=0, fpr=(0.1,)), "recognized_members")
    assert enough.status != "not_measured"


def test_g15_a_random_split_of_days() -> None:
    x, y = people()
    day = pd.date_range("2024-01-01", periods=900)
    mixed = np.random.default_rng(0).permutation(900)
    for order, status in ((mixed, "does_not_meet"), (np.arange(900), "meets")):
        frames = [pd.DataFrame({"day": day[order[s]]}) for s in (slice(600), slice(600, 900))]
        assert leaks(cut(x[order], y[order], 600), frames=frames, time="day")["time order"] == status
