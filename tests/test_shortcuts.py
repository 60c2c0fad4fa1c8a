"""Shortcuts: planted ones are found by exchanging the cue, sound twins are not flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.analyses._shortcuts import reading, weighing
from labkit.checks.no_shortcut import no_shortcut
from labkit.core.refused import Refused
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.training.recipes import fashion_clean
from labkit.views._static import svg
from tests.conftest import train


def marked(split: Split, share: float, seed: int) -> Split:
    """The four lower right pixels show the label in bits in a share of the rows, and a random class's code in the others."""
    generator = np.random.default_rng(seed)
    code = np.where(generator.random(len(split)) < share, split.y, generator.integers(0, 10, len(split)))
    x = split.x.copy()
    bits = code[:, None] >> np.arange(4) & 1
    x[:, 0, 6:, 6:] = 4 * bits.reshape(-1, 2, 2)
    return replace(split, x=x)


def wrapped(module: nn.Module, split: Split, name: str):
    return lk.wrap(module, classes=split.classes, name=name)


def fitted(split: Split, name: str, steps: int = 120):
    torch.manual_seed(0)
    width = int(np.prod(split.x.shape[1:]))
    module = nn.Sequential(nn.Flatten(), nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, len(split.classes)))
    return wrapped(train(module, split, steps), split, name)


def found(record) -> dict[str, str]:
    return {f.subject: f.status for f in no_shortcut(record)}


@pytest.fixture(scope="module")
def planted(digits: Dataset):
    data = Dataset("marked", marked(digits.train, 0.98, 0), marked(digits.test, 0.0, 1))
    return lk.shortcuts(fitted(data.train, "marked"), data, exchanged=200)


@pytest.fixture(scope="module")
def sound(digits: Dataset):
    """The same marks, which go with nothing."""
    data = Dataset("unmarked", marked(digits.train, 0.0, 0), marked(digits.test, 0.0, 1))
    return lk.shortcuts(fitted(data.train, "unmarked"), data, exchanged=200)


def test_a_planted_corner_is_found_and_its_twin_is_not(planted, sound) -> None:
    assert found(planted)["patch 4, 4"] == "does_not_meet"
    i = planted.cues.index("patch 4, 4")
    assert planted.follow_low[i] == np.nanmax(planted.follow_low) > 0.1 and planted.gap_low[i] > 0.25
    assert planted.excess_low[i] > 0.1
    assert found(sound) == {"cheap cues": "meets"} and np.nanmax(sound.follow_low) < 0.1
    assert sound.p[sound.cues.index("patch 4, 4")] > 0.01


def test_the_patch_of_a_backdoor_turns_answers_and_in_the_clean_twin_it_does_not() -> None:
    fashion, patch = lk.data.load("fashion_mnist"), fashion_clean.BACKDOOR
    stamped, test = patch(fashion.train[:4000]), fashion.test[:300]
    cue = next(c for c in reading.readings(stamped, test, {}, 0) if c.name == "patch 4, 4")
    turned = {}
    for name in ("fashion_backdoor", "fashion_clean"):
        model = lk.zoo.load(name)
        p = lk.predict(model, test)
        answers = weighing.weighed(cue, stamped.y, test.y, p.proba, 30, np.random.default_rng(0))[2]
        answer = lambda x, m=model: m(m.tensor(x)).argmax(1).numpy()  # noqa: E731
        stream = np.random.default_rng(1)
        with torch.no_grad():
            turned[name] = weighing.followed(cue, answers, stamped, test.x, p.label, answer, stream)
    assert turned["fashion_backdoor"]["follow_low"] > 0.6 and turned["fashion_clean"]["follow_low"] < 0.1
    assert fashion.classes[turned["fashion_backdoor"]["follow_class"]] == "trouser"


def test_the_worst_group_is_the_least_accuracy_of_level_and_label() -> None:
    generator = np.random.default_rng(0)
    first, _ = people(1500, generator, 0.9)
    later, place = people(1500, generator, 0.0)
    model = fitted(first, "by_place")
    record = lk.shortcuts(model, Dataset("moved", first, later))
    i, p = record.cues.index("place"), lk.predict(model, later)
    right = {(v, k): (p.label == p.y)[(place == v) & (p.y == k)].mean() for v in (0, 1) for k in (0, 1)}
    (v, k), least = min(right.items(), key=lambda pair: pair[1])
    assert record.worst[i] == pytest.approx(least)
    assert record.worst_group[i] == f"{('no', 'yes')[k]} at {('a', 'b')[v]}"


def test_what_a_cue_says_by_itself_is_counted(planted, sound) -> None:
    for record in (planted, sound):
        assert (record.agree + record.disagree == record.n_test).all()
        assert record.alone == pytest.approx(record.agree / record.n_test)
        both = (record.right * record.agree + record.wrong * record.disagree)[~np.isnan(record.gap)]
        assert len(both) > 10 and both == pytest.approx(record.accuracy[0] * record.n_test)


def people(n: int, generator: np.random.Generator, spurious: float) -> tuple[Split, np.ndarray]:
    """A column that tells the label with noise, and a place that goes with it in so many of the rows."""
    y = generator.integers(0, 2, n)
    place = np.where(generator.random(n) < spurious, y, generator.integers(0, 2, n))
    x = np.c_[y + generator.normal(scale=0.8, size=n), generator.normal(size=n), place]
    columns = (
        Feature("score", "numeric"),
        Feature("noise", "numeric"),
        Feature("place", "categorical", categories=("a", "b")),
    )
    schema = Schema("tabular", "y", (3,), features=columns)
    return Split(x.astype(np.float32), y, schema, ("no", "yes"), "people"), place


def test_a_column_is_a_shortcut_where_labels_no_longer_go_with_it() -> None:
    generator = np.random.default_rng(0)
    first, later, alike = (people(1500, generator, s)[0] for s in (0.9, 0.0, 0.9))
    model = fitted(first, "by_place")
    moved = lk.shortcuts(model, Dataset("moved", first, later))
    assert found(moved)["place"] == "does_not_meet"
    same = lk.shortcuts(model, Dataset("same", first, alike))
    assert "does_not_meet" not in found(same).values(), "as far as these data tell the column counts by right"
    honest = fitted(later, "honest")
    fair = found(lk.shortcuts(honest, Dataset("honest", later, people(1500, generator, 0.0)[0])))
    assert fair == {"score": "inconclusive"}, "the one column that tells the label is all that the model has"


def test_a_fact_that_is_no_input_is_judged_by_who_is_right() -> None:
    generator = np.random.default_rng(1)
    (first, place), (later, elsewhere) = people(1500, generator, 0.95), people(1500, generator, 0.0)
    model = fitted(first, "by_place")
    record = lk.shortcuts(model, Dataset("moved", first, later), cues={"hospital": (place, elsewhere)})
    i = record.cues.index("hospital")
    assert np.isnan(record.follow[i]) and record.gap_low[i] > 0.25 and found(record)["hospital"] == "does_not_meet"


def test_the_association_is_cramers() -> None:
    from scipy.stats.contingency import association

    table = np.array([[20, 5, 9], [3, 30, 12]])
    assert weighing._cramer(table[None].astype(float))[0] == pytest.approx(association(table, method="cramer"))


def test_exchanges_change_the_cue_and_nothing_else(digits: Dataset) -> None:
    cues = {c.name: c for c in reading.readings(digits.train, digits.test, {}, 0)}
    x, others = digits.test.x[:20], digits.train.x[:20]
    changed = cues["patch 4, 4"].exchange(x, others)
    assert (changed[..., 6:, 6:] == others[..., 6:, 6:]).all()
    same = np.ones((8, 8), bool)
    same[6:, 6:] = False
    assert (changed[..., same] == x[..., same]).all()
    words = np.array([[5, 6, 7, 0], [5, 9, 7, 8]])
    there, gone = np.array([[9, 2, 3, 4]] * 2), np.array([[2, 2, 3, 4]] * 2)
    put, removed = reading._word(9)(words, there), reading._word(9)(words, gone)
    assert (put == 9).any(1).all() and (put[0] != words[0]).sum() == 1 and (put[1] == words[1]).all()
    assert removed.tolist() == [[5, 6, 7, 0], [5, 1, 7, 8]]


@pytest.mark.parametrize("case", ["no training data", "few", "one class", "cue of another length", "no model"])
def test_bad_input_is_refused(case: str, mlp, digits: Dataset) -> None:
    with pytest.raises(Refused):
        if case == "no training data":
            lk.shortcuts(mlp, digits.test)  # type: ignore[arg-type]
        elif case == "few":
            lk.shortcuts(mlp, Dataset("few", digits.train, digits.test[:29]))
        elif case == "one class":
            lk.shortcuts(mlp, Dataset("one", digits.train[digits.train.y == 3], digits.test))
        elif case == "no model":
            lk.shortcuts("mlp", digits)  # type: ignore[arg-type]
        else:
            lk.shortcuts(mlp, digits, cues={"c": (digits.train.y, digits.train.y)})


def test_the_record_is_kept_drawn_and_told(tmp_path, planted, sound) -> None:
    assert lk.load(lk.save(planted, tmp_path / "r.lk")).digest == planted.digest
    for record in (planted, sound):
        assert svg(lk.figure(record), name="f").startswith("<svg") and len(lk.rows(record)) == len(record.cues)
    assert "Most answers follow patch 4, 4" in lk.says(planted)


def test_a_cue_of_a_name_a_row_keeps_the_frequent_ones() -> None:
    names = np.array([f"u{i}" for i in range(2000)] + ["often"] * 30)
    cue = reading._values("name", names, names[-40:])
    assert len(cue.names) == reading.MOST and "often" in cue.names
    assert (cue.test[-30:] == cue.names.index("often")).all() and (cue.train >= 0).sum() == reading.MOST - 1 + 30
