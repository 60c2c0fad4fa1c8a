"""Labels that mean nothing: what fits them, and which procedures score above chance on them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import nn

import labkit as lk
from labkit.analyses._curve.permuted import of_answers, of_scores
from labkit.core.resampling import stream
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.training.many import Fit
from labkit.views._static import svg


def schema(columns: int) -> Schema:
    return Schema("tabular", "what", (columns,), features=tuple(Feature(f"f{i}", "numeric") for i in range(columns)))


def world(n: int, seed: int, columns: int = 6) -> Split:
    """Numbers of which the first says the class."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns)).astype(np.float32)
    return Split(x, (x[:, 0] > 0).astype(np.int64), schema(columns), ("no", "yes"), f"world {seed}")


def noise(rows: int = 80, columns: int = 800) -> Split:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, columns)).astype(np.float32), rng.integers(0, 2, rows)
    return Split(x, y, schema(columns), ("no", "yes"), "noise")


def told(record, name: str):
    return lk.check(record, only=[name])[0]


def chosen_before_the_cut(x, y):
    """G05: the columns are chosen on all rows, and only then are the rows cut."""
    a, b, c, d = train_test_split(SelectKBest(k=20).fit_transform(x, y), y, random_state=0)
    return LogisticRegression().fit(a, c).score(b, d)


def chosen_after_the_cut(x, y):
    a, b, c, d = train_test_split(x, y, random_state=0)
    pick = SelectKBest(k=20).fit(a, c)
    return LogisticRegression().fit(pick.transform(a), c).score(pick.transform(b), d)


def nearest(train: Split, test: Split) -> np.ndarray:
    distance = ((test.x[:, None] - train.x[None]) ** 2).sum(2)
    return train.y[distance.argmin(1)]


def nearest_of_both(train: Split, test: Split) -> np.ndarray:
    """A procedure that has some of the test rows among those that it learns from."""
    x, y = np.r_[train.x, test.x[::5]], np.r_[train.y, test.y[::5]]
    return y[((test.x[:, None] - x[None]) ** 2).sum(2).argmin(1)]


class TestProcedure:
    def test_g05_columns_chosen_before_the_cut(self):
        leaking = lk.random_labels(noise(), procedure=chosen_before_the_cut, chance=0.5)
        found = told(leaking, "permuted_labels_at_chance")
        assert leaking.mean > 0.7 and found.status == "does_not_meet" and "leakage" in found.says
        sound = lk.random_labels(noise(), procedure=chosen_after_the_cut, chance=0.5)
        assert told(sound, "permuted_labels_at_chance").status == "meets"
        assert told(sound, "fits_anything").status == "not_applicable"
        assert len(lk.rows(sound)) == 1 and svg(lk.figure(sound), name="p")

    def test_test_rows_in_training_are_found_and_their_absence_is(self):
        data = Dataset("world", world(150, 1), world(100, 2))
        leaking = lk.random_labels(data, procedure=nearest_of_both)
        assert told(leaking, "permuted_labels_at_chance").status == "does_not_meet" and leaking.mean > 0.55
        sound = lk.random_labels(data, procedure=nearest)
        assert told(sound, "permuted_labels_at_chance").status == "meets" and sound.truly > 0.7
        assert (sound.rows, sound.n) == (150, 100) and "further permutations" in sound.method
        assert sound.digest == lk.random_labels(data, procedure=nearest).digest

    def test_few_permutations_settle_nothing(self):
        record = lk.random_labels(noise(40, 30), procedure=chosen_after_the_cut, permutations=5, chance=0.5)
        found = told(record, "permuted_labels_at_chance")
        assert found.status == "inconclusive" and "More permutations" in found.says

    @pytest.mark.parametrize(
        ("procedure", "said"),
        [
            (lambda x, y: "fine", "a finite score"),
            (lambda x, y: float("nan"), "a finite score"),
            (lambda train, test: test.y[:3], "a class number for each test row"),
            (lambda x: 1.0, "one of"),
            (lambda x, y: 0.8, "what chance alone scores"),
            (lambda x, y: 1 / 0, "an error on the way"),
            ("accuracy", "a function of"),
        ],
    )  # fmt: skip
    def test_what_is_no_procedure_is_refused(self, procedure, said):
        with pytest.raises(lk.Refused, match=said):
            lk.random_labels(Dataset("world", world(60, 1), world(50, 2)), procedure=procedure)

    def test_a_split_alone_is_for_procedures_of_all_rows(self):
        with pytest.raises(lk.Refused, match="a data set with"):
            lk.random_labels(world(60, 1), procedure=nearest)
        with pytest.raises(lk.Refused, match="20 rows"):
            lk.random_labels(world(20, 1), procedure=chosen_after_the_cut)


class TestControl:
    def test_chance_and_p_are_those_of_all_ways_to_deal_the_labels(self):
        answers, y = np.array([[0, 0, 1, 1, 2, 2]]), np.array([[0, 0, 1, 2, 1, 2]])
        hits = [(answers[0] == np.array(v)).sum() for v in itertools.permutations(y[0])]
        found = of_answers(np.repeat(answers, 2, 0), np.repeat(y, 2, 0), stream(0, "a test"))
        assert np.isclose(found.chance, np.mean(hits) / 6)
        both = np.add.outer(hits, hits)
        assert abs(found.p - np.mean(both >= 8)) < 0.02

    def test_scores_are_held_against_chance_by_students_test(self):
        score = np.random.default_rng(0).normal(0.52, 0.05, 20)
        assert np.isclose(of_scores(score, 0.5).p, ttest_1samp(score, 0.5, alternative="greater").pvalue)
        assert of_scores(np.full(20, 0.5), 0.5).p == 1 and of_scores(np.full(20, 0.6), 0.5).p == 0

    def test_false_alarms_come_as_often_as_they_may(self):
        """Answers that know no label, of uneven classes: p below 0.05 in about 5 of 100 worlds."""
        rng = np.random.default_rng(0)
        small = 0
        for world_ in range(120):
            answers, y = rng.choice(3, (5, 40), p=[0.6, 0.3, 0.1]), rng.choice(3, (5, 40), p=[0.7, 0.2, 0.1])
            small += of_answers(answers, y, stream(world_, "a test")).p < 0.05
        assert 1 <= small <= 13


class TestLearner:
    @staticmethod
    def asked(learner, **options):
        data = Dataset("world", world(80, 1), world(100, 2))
        fit = Fit(epochs=40, rate=0.02, batch_size=16)
        return lk.random_labels(data, learner=learner, seeds=3, permutations=6, fit=fit, **options)

    def test_a_wide_net_fits_anything_and_knows_nothing_by_it(self):
        record = self.asked(lambda seed: nn.Sequential(nn.Linear(6, 128), nn.ReLU(), nn.Linear(128, 2)))
        assert record.share.tolist() == [0, 0.5, 1] and record.models.tolist() == [3, 3, 6]
        assert record.train[-1] > 0.98 and record.test[0] > 0.85 and record.low < 0.5 < record.high
        assert record.steps[0] < record.steps[-1] and record.fitted.shape == (3, 40)
        found = told(record, "fits_anything")
        assert "it fits labels that mean nothing" in found.says and "times as many steps" in found.says
        assert told(record, "permuted_labels_at_chance").status in ("meets", "inconclusive")
        assert "as taught" in lk.says(record) and len(lk.rows(record)) == 4 and svg(lk.figure(record), name="r")

    def test_a_line_does_not(self, tmp_path):
        record = self.asked(lambda seed: nn.Linear(6, 2), share=(0,))
        assert record.train[0] > 0.9 and 0.5 < record.train[-1] < 0.8 and np.isinf(record.steps[-1])
        assert "does not fit labels that mean nothing" in told(record, "fits_anything").says
        assert lk.load(lk.save(record, tmp_path / "r.lk")).digest == record.digest

    @pytest.mark.parametrize(
        ("options", "said"),
        [({"share": (0, 2)}, "numbers from 0 to 1"), ({"share": "all"}, "no such shares"), ({"permutations": 2}, "permutations=2")],
    )  # fmt: skip
    def test_what_cannot_be_asked_is_refused(self, options, said):
        data = Dataset("world", world(80, 1), world(100, 2))
        with pytest.raises(lk.Refused, match=said):
            lk.random_labels(data, **options)
