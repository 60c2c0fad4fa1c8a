"""A model beside models that anyone can read: the same rows, fitted on training rows alone, and judged by the difference."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import reports

import labkit as lk
from labkit.analyses import _readable
from labkit.analyses._readable import readable
from labkit.core import intervals
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split

COLUMNS = Schema("tabular", "what", (2,), features=tuple(Feature(c, "numeric") for c in ("a", "b")))


def world(n: int, seed: int, *, crossed: bool = False, noise: float = 0.05) -> Split:
    """Two numbers; the answer is the first one's sign, or whether both have the same; some answers are wrong."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    y = (x[:, 0] > 0) ^ (crossed & (x[:, 1] > 0)) ^ (rng.random(n) < noise)
    return Split(x, y.astype(np.int64), COLUMNS, ("no", "yes"), "world")


def dataset(n: int = 1500, **options) -> Dataset:
    return Dataset("world", world(n, 1, **options), world(n, 2, **options))


def answers(data: Dataset, right: float, seed: int = 0) -> lk.Predictions:
    """A model that is right in this share of the test rows."""
    rng = np.random.default_rng(seed)
    hit = rng.random(len(data.test)) < right
    label = np.where(hit, data.test.y, 1 - data.test.y)
    frame = pd.DataFrame({"y": data.test.y, "p": np.where(label == 1, 0.8, 0.2)})
    p = lk.Predictions.from_frame(frame, y="y", score="p", threshold=0.5, classes=[0, 1], name="network")
    return replace(p, classes=("no", "yes"))


class TestPairedInterval:
    def test_is_walds_with_a_row_more_of_each_kind(self):
        """By hand, from the four cells of the table of both answers."""
        b, c, n = 23, 10, 200
        p12, p21 = (b + 1) / (n + 2), (c + 1) / (n + 2)
        half = 1.959963984540054 * np.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2))
        assert np.allclose(intervals.paired(b, c, n), (p12 - p21 - half, p12 - p21 + half))

    @pytest.mark.parametrize("cells", [(0.05, 0.05), (0.10, 0.03), (0.30, 0.2)])
    @pytest.mark.parametrize("n", [50, 400])
    def test_covers(self, cells, n):
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(n, [*cells, 1 - sum(cells)], 4000)
        low, high = intervals.paired(drawn[:, 0], drawn[:, 1], n)
        covered = np.mean((low <= cells[0] - cells[1]) & (cells[0] - cells[1] <= high))
        assert 0.935 <= covered <= 0.985

    def test_is_narrower_than_that_of_two_sets_of_rows(self):
        """940 and 950 right of 1000, but for 20 rows the same ones."""
        low, high = intervals.paired(5, 15, 1000)
        apart = intervals.newcombe(940, 1000, 950, 1000)
        assert high - low < (apart[1] - apart[0]) / 2 and high < 0 < apart[1]

    def test_at_its_ends(self):
        assert intervals.paired(0, 0, 10)[0] < 0 < intervals.paired(0, 0, 10)[1]
        assert intervals.paired(3, 0, 3)[1] <= 1 and intervals.paired(0, 3, 3)[0] >= -1


class TestTheComparison:
    @pytest.fixture(scope="class")
    def data(self):
        return dataset()

    @pytest.fixture(scope="class")
    def behind(self, data):
        return lk.baselines(answers(data, 0.8), data)

    def test_baselines_know_what_a_sum_can_know(self, behind):
        assert behind.baselines == ("majority class", "logistic regression", "glass box", "boosted trees")
        assert abs(behind.score[0] - 0.5) < 0.05 and (behind.score[1:] > 0.92).all()
        assert behind.baselines[behind.hardest] != "majority class"
        assert (behind.fitted_on == 1500).all() and behind.n == 1500

    def test_differences_are_those_of_the_rows(self, data, behind):
        p = answers(data, 0.8)
        hit = p.label == p.y
        other = readable(data.train, data.test, 0)[1].proba.argmax(1) == data.test.y
        assert behind.only_model[1] == (hit & ~other).sum() and behind.only_baseline[1] == (other & ~hit).sum()
        assert behind.difference[1] == pytest.approx(hit.mean() - other.mean())
        ends = intervals.paired(behind.only_model[1], behind.only_baseline[1], 1500)
        assert np.allclose((behind.difference_low[1], behind.difference_high[1]), ends)

    def test_other_metrics_draw_rows_in_pairs(self, data):
        """Accuracy through the bootstrap, once by weights and once row by row, has nearly the closed form's interval."""
        p = answers(data, 0.8)
        exact = lk.baselines(p, data)

        def share_right(y_true, y_pred):
            return float(np.mean(y_true == y_pred))

        drawn = lk.baselines(p, data, share_right, positive="yes", replicates=300)
        assert drawn.method == "bootstrap" and exact.method == "Bonett and Price"
        assert np.allclose(drawn.difference, exact.difference)
        np.testing.assert_allclose(drawn.difference_low, exact.difference_low, atol=0.006)
        np.testing.assert_allclose(drawn.difference_high, exact.difference_high, atol=0.006)
        area, loss = (lk.baselines(p, data, m, positive="yes", replicates=200) for m in ("auc", "brier"))
        assert (area.difference_high[1:] < 0).all() and area.better == 1
        assert (loss.difference_low[1:] > 0).all() and loss.better == -1
        assert np.allclose(loss.ahead[0], -loss.difference) and (loss.ahead[2][1:] < 0).all()

    def test_a_copy_of_a_baseline_is_level_with_it(self, data):
        proba = readable(data.train, data.test, 0)[2].proba
        p = replace(answers(data, 0.8), label=proba.argmax(1), proba=proba)
        for metric in ("accuracy", "auc"):
            found = lk.baselines(p, data, metric, positive="yes", replicates=100)
            assert found.difference[2] == 0 and found.difference_low[2] <= 0 <= found.difference_high[2]
            assert lk.check(found)[0].status == "does_not_meet"

    def test_only_training_labels_are_learned_from(self, data):
        """Other test labels leave the answers as they are; shuffled training labels leave nothing to be sure of."""
        before = readable(data.train, data.test, 0)
        after = readable(data.train, replace(data.test, y=1 - data.test.y), 0)
        for a, b in zip(before, after):
            assert np.array_equal(a.proba, b.proba)
        mixed = replace(data.train, y=np.random.default_rng(3).permutation(data.train.y))
        for other in readable(mixed, data.test, 0)[:3]:
            assert np.abs(other.proba - 0.5).mean() < 0.1
        assert np.abs(before[1].proba - 0.5).mean() > 0.3

    def test_the_same_call_gives_the_same_record(self, data, behind, tmp_path):
        _readable._kept.clear()
        again = lk.baselines(answers(data, 0.8), data)
        assert again.digest == behind.digest
        assert lk.load(lk.save(behind, tmp_path / "b.lk")).digest == behind.digest

    def test_how_it_looks(self, behind):
        table = lk.rows(behind)
        assert list(table["model"]) == ["network", *behind.baselines] and len(lk.figure(behind).data) == 3
        at = behind.hardest
        assert f"{behind.score[at]:.3f}" in lk.says(behind) and "behind on the same rows" in lk.says(behind)

    def test_without_interpret_core_trees_stand_in_and_say_so(self, data, monkeypatch):
        monkeypatch.setitem(sys.modules, "interpret.glassbox", None)
        _readable._kept.clear()
        found = lk.baselines(answers(data, 0.8), data)
        _readable._kept.clear()
        assert found.baselines[2] == "additive trees" and "interpret-core is not here" in found.about[2]
        assert found.score[2] > 0.92
        crossed = dataset(crossed=True)
        alone = _readable._additive_trees(crossed.train, crossed.train.y, crossed.test, 0)
        assert abs(np.mean(alone.proba.argmax(1) == crossed.test.y) - 0.5) < 0.1  # a sum cannot know it


class TestTheCheck:
    """Each status on a record that deserves it, and the planted fault beside its sound twin."""

    @pytest.mark.parametrize(
        ("right", "crossed", "status"),
        [(0.8, False, "does_not_meet"), (0.9, True, "meets"), (0.965, False, "inconclusive")],
    )
    def test_judges_by_the_interval(self, right, crossed, status):
        data = dataset(crossed=crossed)
        told = lk.check(lk.baselines(answers(data, right), data))[0]
        assert told.check == "beats_baselines" and told.status == status, told.says
        assert told.n == 1500 and "on the same rows" in told.says

    def test_seldom_blames_a_better_model(self):
        """Three points ahead of the best sum, 300 test rows, 40 times."""
        rng, blamed = np.random.default_rng(0), 0
        data = dataset(300, noise=0.15)
        found = lk.baselines(answers(data, 0.9), data)
        for _ in range(40):
            only_model, only_baseline = rng.multinomial(300, [0.06, 0.03, 0.91])[:2]
            low, high = intervals.paired(only_model, only_baseline, 300)
            ahead = np.full(4, (only_model - only_baseline) / 300)
            drawn = replace(found, difference=ahead, difference_low=np.full(4, low), difference_high=np.full(4, high))
            blamed += lk.check(drawn)[0].status == "does_not_meet"
        assert blamed <= 3

    def test_boosted_trees_inform_and_do_not_judge(self):
        """Where the answer is in no sum the trees find it: the model is behind them, and still better than what can be read."""
        data = dataset(crossed=True)
        found = lk.baselines(answers(data, 0.8), data)
        judged = {f.check: f for f in lk.check(found)}
        assert found.score[3] > 0.9 > 0.8 > found.score[1:3].max() and found.can_be_read.tolist() == [
            True,
            True,
            True,
            False,
        ]
        assert judged["beats_baselines"].status == "meets" and found.hardest < 3
        assert judged["beats_boosted_trees"].status == "info" and judged["beats_boosted_trees"].high < 0
        texts = replace(found, can_be_read=np.ones(4, bool))
        assert {f.check: f.status for f in lk.check(texts)}["beats_boosted_trees"] == "not_applicable"

    def test_a_lead_that_more_training_data_may_explain_is_not_credited(self):
        data = dataset(crossed=True)
        p = answers(data, 0.9)
        assert lk.check(lk.baselines(p, data, trained_on=1500))[0].status == "meets"
        told = lk.check(lk.baselines(p, data, trained_on=60_000))[0]
        assert told.status == "inconclusive" and "60000 examples" in told.says
        plain = dataset()
        assert lk.check(lk.baselines(answers(plain, 0.8), plain, trained_on=60_000))[0].status == "does_not_meet"

    def test_a_model_that_can_be_read_is_not_asked(self):
        data, model = reports.people(300), lk.zoo.load("adult_logistic")
        adult = lk.zoo.data("adult_logistic")
        found = lk.baselines(model, Dataset("adult", adult.train[:400], adult.test[:300]))
        assert found.readable and lk.check(found)[0].status == "not_applicable"
        network = lk.baselines(reports.first_column(("no", "yes"), "network"), data)
        assert not network.readable and lk.check(network)[0].status != "not_applicable"

    def test_what_has_no_better_side_does_not_apply(self):
        data = dataset(300)
        found = lk.baselines(answers(data, 0.9), data, "selection_rate", positive="yes", replicates=50)
        assert lk.check(found)[0].status == "not_applicable" and "rate is" in lk.says(found)

    def test_what_is_undefined_is_not_measured(self):
        data = dataset(300)
        one = Dataset("world", data.train, data.test[data.test.y == 1])
        found = lk.baselines(answers(one, 0.9), one, "auc", positive="yes", replicates=20)
        assert found.status == "not_measured" and "both classes" in found.reason
        assert lk.check(found)[0].status == "not_measured"


class TestOtherData:
    def test_texts_are_bags_of_words(self):
        """The same words in another order, and more padding, give the same answer; the words decide."""
        rng = np.random.default_rng(0)
        schema = Schema("text", "what", (8,), vocabulary=("", "(unknown)", *"abcdefgh"))

        def part(n: int) -> Split:
            x = rng.integers(2, 10, (n, 8))
            x[:, 6:] = 0
            return Split(x, (x == 4).any(1).astype(np.int64), schema, ("no", "yes"), "words")

        train, test = part(400), part(200)
        turned = replace(test, x=test.x[:, ::-1])
        first, second = (readable(train, t, 0)[1].proba for t in (test, turned))
        np.testing.assert_allclose(first, second, atol=1e-12)
        assert np.mean(first.argmax(1) == test.y) > 0.9

    def test_images_are_single_pixels(self, digits, mlp):
        found = lk.baselines(mlp, digits)
        assert found.baselines == ("majority class", "logistic regression") and 0.9 < found.score[1] <= 1
        assert found.model == "digits_mlp" and not found.readable

    def test_many_values_take_fewer_rows_and_say_how_many(self, digits, monkeypatch):
        monkeypatch.setattr(_readable, "NUMBERS", 64 * 300)
        _readable._kept.clear()
        assert readable(digits.train, digits.test, 0)[1].fitted_on == 300
        _readable._kept.clear()

    def test_a_class_that_training_lacks_gets_no_share(self):
        data = dataset(300)
        three = [replace(s, classes=("no", "yes", "never"), y=s.y * 2) for s in data]
        found = readable(*three, 0)
        for other in found:
            assert other.proba.shape == (300, 3) and (other.proba[:, 1] == 0).all()
        assert np.mean(found[1].proba.argmax(1) == three[1].y) > 0.9


class TestRefused:
    def test_what_does_not_fit_together(self):
        data = dataset(200)
        p = answers(data, 0.9)
        with pytest.raises(lk.Refused, match="other rows"):
            lk.baselines(p, Dataset("w", data.train, data.test[::-1]))
        with pytest.raises(lk.Refused, match="training rows of the class 'yes'"):
            lk.baselines(p, Dataset("w", data.train[data.train.y == 1], data.test))
        with pytest.raises(lk.Refused, match="data set with"):
            lk.baselines(p, data.test)
        with pytest.raises(lk.Refused, match="none named as positive"):
            lk.baselines(p, data, "auc")


class TestInAReport:
    PLAN = ({"id": "baselines", "section": "performance", "question": "Better?", "analysis": "baselines"},)

    def test_predictions_alone_are_not_measured(self):
        report = lk.audit(answers(dataset(200), 0.9), plan=reports.plan(step=list(self.PLAN)))
        (outcome,) = report.outcomes
        assert outcome.status == "not_measured" and "nothing to fit a baseline to" in outcome.says

    def test_only_the_rows_asked_for_are_compared(self):
        plan = reports.plan(step=[{**self.PLAN[0], "rows": 120}])
        report = lk.audit(reports.first_column(("no", "yes"), "network"), reports.people(300), plan)
        assert report.outcomes[0].record.n == 120 and report.outcomes[0].record.n_train == 300

    def test_a_reference_model_trained_on_more_is_known_from_its_card(self):
        from labkit.report.subject import subjects

        (part,) = subjects("fashion_cnn", None)
        (whole,) = subjects("adult_logistic", None)
        assert part.trained_on == 60_000 and whole.trained_on == 0
