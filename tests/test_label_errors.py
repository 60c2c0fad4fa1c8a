"""Label errors: the formulas by another way, and labels made wrong on purpose beside a clean twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.analyses._confident import confident, floor, planted, rates
from labkit.checks.labels_clean import labels_clean
from labkit.core.refused import Refused
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.training.damage import LabelNoise
from labkit.training.many import Fit
from labkit.views._static import svg

QUICK = Fit(epochs=8, batch_size=64, rate=4e-3, weight_decay=0.01)


@pytest.fixture(scope="module")
def clean(digits: Dataset):
    return lk.label_errors(digits, fit=QUICK, show=4)


@pytest.fixture(scope="module")
def noisy(digits: Dataset):
    noise = LabelNoise(0.2, seed=5)
    return noise.changed(digits.train), lk.label_errors(noise(digits.train), fit=QUICK)


def slow(proba: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, list[int], float]:
    """Counted row by row, as the paper's equations read."""
    classes = proba.shape[1]
    t = [np.mean([p[j] for p, label in zip(proba, y) if label == j]) for j in range(classes)]
    joint, named = np.zeros((classes, classes)), []
    for i, (p, label) in enumerate(zip(proba, y)):
        over = [j for j in range(classes) if p[j] >= t[j]]
        if over:
            best = max(over, key=lambda j: p[j])
            joint[label, best] += 1
            named += [i] if best != label else []
    q = np.array(
        [joint[i] / joint[i].sum() * (y == i).sum() if joint[i].sum() else 0 * joint[i] for i in range(classes)]
    )
    return joint, named, 1 - np.trace(q) / len(y)


def test_the_confident_joint_is_the_papers() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, 300)
    proba = generator.dirichlet(np.ones(4), 300)
    proba[np.arange(300), y] += 0.5
    proba /= proba.sum(1, keepdims=True)
    joint, named, rate = slow(proba, y)
    found = confident(proba, y)
    assert (found.cells[:, :-1] == joint).all() and list(np.flatnonzero(found.named)) == named
    assert found.rate == pytest.approx(rate)
    order = np.argsort(proba, 1)
    best = np.where(order[:, -1] == y, order[:, -2], order[:, -1])
    assert found.margin == pytest.approx(proba[np.arange(300), y] - proba[np.arange(300), best])


def test_the_rate_of_a_perfect_learner_is_the_noise_and_its_interval_covers() -> None:
    generator, held = np.random.default_rng(1), 0
    for _ in range(200):
        truth = generator.integers(0, 3, 400)
        wrong = generator.random(400) < 0.1
        y = np.where(wrong, (truth + 1) % 3, truth)
        found = confident(np.eye(3)[truth] * 0.94 + 0.02, y)
        rate, low, high = found.interval(np.random.default_rng(0))
        assert rate == pytest.approx(wrong.mean()) and found.named.sum() == wrong.sum()
        held += low <= 0.1 <= high
    assert 184 <= held <= 198, "93 to 97 %, with room for 200 runs"


def test_the_floor_is_the_noise_and_not_the_hardness() -> None:
    generator, held = np.random.default_rng(4), 0
    for run in range(10):
        logits = generator.normal(scale=2.5, size=500)
        truth = generator.random(500) < 1 / (1 + np.exp(-logits))
        noise = 0.1 * (run % 2)
        y = (truth ^ (generator.random(500) < noise)).astype(int)
        # the learner believes in itself too much
        proba = 1 / (1 + np.exp(-1.7 * logits))
        _, low, high = floor(np.column_stack([1 - proba, proba]), y)
        held += low <= noise <= high
    assert held >= 8, "95 % of 10 runs, with room"


def test_counts_of_several_bootstrap_draws_are_rated_one_by_one() -> None:
    cells = np.random.default_rng(0).integers(1, 30, (5, 3, 4))
    assert rates(cells) == pytest.approx([float(rates(c[None])[0]) for c in cells])


def test_planted_errors_go_to_other_classes_of_rows_that_are_not_suspected() -> None:
    generator = np.random.default_rng(2)
    y = generator.integers(0, 3, 600)
    proba = np.eye(3)[np.where(generator.random(600) < 0.2, (y + 1) % 3, y)] * 0.9 + 1 / 30
    found = confident(proba, y)
    wrong, rows = planted(found, y, 0.1, np.random.default_rng(0))
    assert len(rows) == 60 and not found.named[rows].any()
    assert (wrong[rows] != y[rows]).all() and (np.delete(wrong, rows) == np.delete(y, rows)).all()
    # labels k stand for the truth k + 1: a true class goes to the label below it
    assert ((y[rows] - wrong[rows]) % 3 == 1).mean() > 0.9


def test_flipped_labels_are_found_with_their_class(digits: Dataset, noisy) -> None:
    wrong, record = noisy
    named = record.row
    assert wrong[named].mean() > 0.85 and wrong[named].sum() / wrong.sum() > 0.7
    assert wrong[named[:50]].mean() > 0.95, "the most suspicious first"
    hit = named[wrong[named]]
    assert (record.suggested[wrong[named]] == digits.train.y[hit]).mean() > 0.9
    assert (
        record.floor[1] <= wrong.mean() <= record.floor[2] and record.rate[1] <= wrong.mean() <= record.rate[2] + 0.03
    )
    assert record.expected[1] <= wrong[named].mean() <= record.expected[2] + 1e-9
    assert labels_clean(record).status == "does_not_meet"


def test_a_clean_twin_names_few_and_says_so(clean) -> None:
    assert len(clean.row) < 0.02 * clean.n and clean.floor[2] < 0.02 and clean.recall[0] > 0.6
    assert labels_clean(clean).status == "meets"
    assert f"{len(clean.row)} of 1,297 labels are suspected" in lk.says(clean)


def test_an_ambiguous_task_is_not_called_wrong_labels() -> None:
    """Labels are drawn from their probabilities: many disagree with the best answer and none is an error."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=(2000, 4))
    chance = 1 / (1 + np.exp(-1.2 * x.sum(1) / 2))
    y = (generator.random(2000) < chance).astype(int)
    frame = pd.DataFrame({"y": y, "score": chance})
    given = lk.label_errors(lk.Predictions.from_frame(frame, y="y", score="score", threshold=0.5))
    schema = Schema("tabular", "y", (4,), features=tuple(Feature(f"x{i}", "numeric") for i in range(4)))
    anew = lk.label_errors(Split(x.astype(np.float32), y, schema, ("0", "1"), "ambiguous"), fit=QUICK)
    for record in (given, anew):
        assert record.rate[1] > 0.1 and labels_clean(record).status == "inconclusive"
    assert not given.refitted and given.warnings


def test_a_table_of_people_keeps_no_rows_unless_asked() -> None:
    german = lk.data.load("german")
    record = lk.label_errors(german, fit=replace(QUICK, epochs=4))
    assert record.texts == () and record.pictures is None and labels_clean(record).status != "does_not_meet"
    asked = lk.label_errors(german, fit=replace(QUICK, epochs=4), show=3)
    assert len(asked.texts) == 3 and "age" in asked.texts[0]


@pytest.mark.parametrize("case", ["few", "one class", "no probabilities", "no truth", "array"])
def test_bad_input_is_refused(case: str, digits: Dataset) -> None:
    split: Split = digits.train
    y = np.array([0, 1] * 20)
    with pytest.raises(Refused):
        if case == "few":
            lk.label_errors(split[:29])
        elif case == "one class":
            lk.label_errors(split[split.y == 3])
        elif case == "array":
            lk.label_errors(split.x)  # type: ignore[arg-type]
        else:
            frame = pd.DataFrame({"y": y, "label": y, "score": y / 2 + 0.2})
            truth = None if case == "no truth" else "y"
            score = {"score": "score", "threshold": 0.5} if case == "no truth" else {"label": "label"}
            lk.label_errors(lk.Predictions.from_frame(frame, y=truth, classes=[0, 1], **score))


def test_the_record_is_kept_drawn_and_told(tmp_path, clean, noisy) -> None:
    assert lk.load(lk.save(clean, tmp_path / "r.lk")).digest == clean.digest
    assert clean.pictures is not None and clean.pictures.shape == (4, 1, 8, 8)
    for record in (clean, noisy[1]):
        assert svg(lk.figure(record), name="f").startswith("<svg")
    assert len(lk.rows(clean)) == len(clean.row)


def test_no_suspect_among_few_labels_is_not_none_at_all() -> None:
    proba = np.random.default_rng(0).dirichlet([0.3, 0.3], 40)
    rate, low, high = confident(proba, proba.argmax(1)).interval(np.random.default_rng(1))
    assert (rate, low) == (0, 0) and high == pytest.approx(1 - 0.025 ** (1 / 40))
