"""Learning curves: a law that holds, one that fails and none at all; double descent where it must be and its sound twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.analyses._curve import trained
from labkit.analyses._curve.law import Errors, law_of, need, roles
from labkit.core import powerlaw
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.training.many import Fit, fit_many
from labkit.views._static import svg

COLUMNS = Schema("tabular", "what", (2,), features=tuple(Feature(c, "numeric") for c in ("a", "b")))
SIZES = np.array([32, 64, 128, 256, 512, 1024, 2048, 4096])
WIDTHS = (60, 150, 255, 300, 360, 900)


def world(n: int, seed: int) -> Split:
    """Two numbers; the answer is whether both have one sign, and one in ten is wrong."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    y = (x.prod(1) > 0) ^ (rng.random(n) < 0.1)
    return Split(x, y.astype(np.int64), COLUMNS, ("no", "yes"), "world")


def dataset(train: int = 160, test: int = 200) -> Dataset:
    return Dataset("world", world(train, 1), world(test, 2))


def small(seed: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))


def seen(error: np.ndarray, noise: float = 0.0, draws: int = 400) -> Errors:
    """Errors about a curve, each with so much noise relative to it."""
    rng = np.random.default_rng(0)
    drawn = error * np.exp(noise * rng.standard_normal((draws, len(error))))
    return Errors(SIZES, error, drawn, 10_000)


def told(record, name: str):
    return lk.check(record, only=[name])[0]


class TestLaw:
    ROLE = roles(SIZES, np.full(8, 0.2), 0.5)

    def test_the_largest_quarter_is_held_out_and_chance_is_left_out(self):
        assert list(self.ROLE) == ["fitted"] * 6 + ["held out"] * 2
        high = np.array([0.6, 0.4, 0.52, 0.4, 0.3, 0.2, 0.1, 0.1])
        assert list(roles(SIZES, high, 0.5)) == ["at chance"] + ["fitted"] * 5 + ["held out"] * 2

    def test_a_law_that_holds_is_read_on_as_far_as_it_was_judged(self):
        found, untold = law_of(seen(1.5 * SIZES**-0.4 + 0.02, 0.03), self.ROLE)
        assert not untold and np.isclose(found.reach, 4) and np.isclose(found.size[-1], 4 * SIZES[-1])
        assert found.miss[1] < 1 < found.miss[2] and found.b[1] < 0.4 < found.b[2]
        wanted = need(found, 1 - (1.5 * 9000**-0.4 + 0.02), 16384.0)
        assert np.isclose(wanted.rows[0], 9000, rtol=0.02)
        low, high = wanted.rows[1:]
        assert 4096 < low < 9000 < high

    def test_rows_beyond_what_is_told_are_not_told(self):
        found, _ = law_of(seen(1.5 * SIZES**-0.4 + 0.02, 0.01), self.ROLE)
        assert need(found, 0.99, 16384.0).rows == (np.inf, np.inf, np.inf)

    def test_a_curve_that_ends_its_fall_refutes_the_law(self):
        kinked = np.maximum(1.5 * SIZES**-0.5, 1.5 * 512.0**-0.5)
        found, untold = law_of(seen(kinked, 0.02), self.ROLE)
        assert found is not None and found.miss[2] < 0.8 and "foretells errors" in untold

    def test_a_flat_curve_has_no_law(self):
        found, untold = law_of(seen(np.full(8, 0.2) - np.arange(8) * 1e-4, 0.05), self.ROLE)
        assert found is None and "no more than seeds and test rows alone" in untold

    def test_few_sizes_have_no_law(self):
        role = np.where(np.arange(8) < 3, "at chance", self.ROLE)
        found, untold = law_of(seen(1.5 * SIZES**-0.4), role)
        assert found is None and "there are 3" in untold


@pytest.fixture(scope="module")
def curve():
    return lk.learning_curve(dataset(), learner=small, seeds=3, fit=Fit(epochs=8, rate=0.01), replicates=100)


class TestExamples:
    def test_each_model_is_the_one_trained_alone(self, curve):
        """The last point: all rows, so that the errors can be had without the analysis."""
        data = dataset()
        alone = fit_many(small, data.train.x, data.train.y, np.ones((3, 160), bool), fit=Fit(epochs=8, rate=0.01))
        wrong = (alone.logits(data.test.x).argmax(2) != data.test.y).mean(1)
        assert np.allclose(curve.test[-1], wrong) and np.allclose(curve.passes[-1], 8 * 160)
        each = 3 * 2 * (2 * 8 + 8 * 2)  # forwards and twice that back, two for each weight
        assert np.isclose(curve.flops[-1], each * 8 * 160)

    def test_sizes_are_halved_and_take_as_many_steps(self, curve):
        assert curve.point.tolist() == [20, 40, 80, 160]
        steps = 8 * -(-160 // 64)
        assert curve.passes[:3].tolist() == [n * -(-steps // -(-n // 64)) for n in (20, 40, 80)]
        assert curve.cost(320)["passes"] == 2 * curve.passes[-1]

    def test_why_nothing_is_foretold_is_said(self, curve):
        assert not curve.told and "not measured because" in lk.says(curve)
        assert told(curve, "extrapolation_holds").status == "not_measured"
        assert told(curve, "more_data_would_help").status == "not_measured"
        assert told(curve, "double_descent").status == "not_applicable"

    def test_is_the_same_again_and_from_disk(self, curve, tmp_path):
        again = lk.learning_curve(dataset(), learner=small, seeds=3, fit=Fit(epochs=8, rate=0.01), replicates=100)
        assert again.digest == curve.digest
        assert lk.load(lk.save(curve, tmp_path / "c.lk")).digest == curve.digest
        assert len(lk.rows(curve)) == 4 and svg(lk.figure(curve), name="c")


def with_law(curve: lk.Predictions, error: np.ndarray, noise: float, wanted: float | None = None):
    """A record as if these errors had been measured."""
    role = TestLaw.ROLE
    found, untold = law_of(seen(error, noise), role)
    test = np.repeat(error[:, None], 3, 1)
    costs = dict.fromkeys(("passes", "flops", "seconds"), SIZES * 10.0)
    ends = {f"{side}_{end}": test[:, 0] for side in ("train", "test") for end in ("low", "high")}
    asked = need(found, wanted, 16384.0) if wanted else None
    return replace(
        curve,
        point=SIZES,
        role=role,
        train=test,
        test=test,
        law=found,
        told=not untold,
        untold=untold,
        need=asked,
        **ends,
        **costs,
    )


class TestFindings:
    def test_extrapolation_is_judged_by_its_interval(self, curve):
        good = with_law(curve, 1.5 * SIZES**-0.4 + 0.02, 0.01)
        assert told(good, "extrapolation_holds").status == "meets"
        assert told(with_law(curve, 1.5 * SIZES**-0.4 + 0.02, 0.3), "extrapolation_holds").status == "inconclusive"
        kinked = with_law(curve, np.maximum(1.5 * SIZES**-0.5, 1.5 * 512.0**-0.5), 0.02)
        assert told(kinked, "extrapolation_holds").status == "does_not_meet"
        assert told(kinked, "more_data_would_help").status == "not_measured"

    def test_more_data_is_told_with_its_interval(self, curve):
        record = with_law(curve, 1.5 * SIZES**-0.4 + 0.02, 0.01, wanted=0.94)
        found = told(record, "more_data_would_help")
        truth = -np.diff(powerlaw.PowerLaw(1.5, 0.4, 0.02)([4096, 8192]))[0]
        assert found.status == "info" and found.low <= truth <= found.high
        assert "an accuracy of 0.94 takes about" in lk.says(record) and svg(lk.figure(record), name="c")
        far = with_law(curve, 1.5 * SIZES**-0.4 + 0.02, 0.01, wanted=0.975)
        assert "not within what can be told" in lk.says(far)


class TestWidth:
    @pytest.fixture(scope="class")
    def peaked(self, digits):
        return self.asked(digits)

    @staticmethod
    def asked(digits, **options):
        return lk.learning_curve(
            digits,
            along="width",
            learner="random_features",
            points=WIDTHS,
            rows=300,
            noise=0.15,
            seeds=3,
            replicates=300,
            **options,
        )

    def test_double_descent_peaks_at_the_threshold(self, peaked):
        peak = peaked.peak
        assert peak.threshold == 300 and abs(peak.at[0] / 300 - 1) <= 0.15 and peak.p < 0.01
        assert 255 <= peak.at[1] <= peak.at[2] <= 360 and peak.fits <= 300
        found = told(peaked, "double_descent")
        assert found.status == "info" and "has a peak at width" in found.says and "its peak is at" in lk.says(peaked)
        assert svg(lk.figure(peaked), name="w")

    def test_a_penalty_takes_the_peak_away_and_none_is_said(self, digits):
        twin = self.asked(digits, ridge=0.03)
        assert twin.peak.p > 0.01 and twin.peak.height < 0.02
        assert twin.train[-1].mean() > 0.05, "wrong labels are there, and are not learnt"
        assert "No peak" in told(twin, "double_descent").says and "peak is at" not in lk.says(twin)

    def test_the_shortest_exact_fit_and_the_penalised_one(self):
        rng = np.random.default_rng(0)
        for shape in ((20, 50), (50, 20)):
            features, target = rng.normal(size=shape), rng.normal(size=(shape[0], 3))
            expected = np.linalg.lstsq(features, target, rcond=None)[0]
            assert np.allclose(trained._least_squares(features, target, 0.0), expected)
            squared = features.T @ features + 0.7 * np.eye(shape[1])
            assert np.allclose(
                trained._least_squares(features, target, 0.7), np.linalg.solve(squared, features.T @ target)
            )

    def test_a_net_of_each_width_and_a_function_of_it(self):
        options = {"along": "width", "seeds": 3, "fit": Fit(epochs=2), "replicates": 100, "rows": 64}
        net = lk.learning_curve(dataset(), points=(2, 4), **options)
        assert np.isclose(net.peak.threshold, 64 * 2 / (2 + 1 + 2))

        def own(width: int, seed: int) -> nn.Module:
            return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))

        theirs = lk.learning_curve(dataset(), learner=own, points=(2, 4), **options)
        assert np.isnan(theirs.peak.threshold) and theirs.learner == "own" and theirs.test.shape == (2, 3)


class TestEpochs:
    def test_the_curve_of_one_training(self):
        curve = lk.learning_curve(
            dataset(), along="epochs", learner=small, points=[6], seeds=3, fit=Fit(rate=0.02), replicates=100
        )
        data = dataset()
        many = fit_many(
            small, data.train.x, data.train.y, np.ones((3, 160), bool), fit=Fit(epochs=6, rate=0.02),
            watch=(data.test.x, data.test.y),
        )  # fmt: skip
        assert np.allclose(curve.test, 1 - many.curves["watch_accuracy"].T)
        assert curve.best[0] == curve.test.mean(1).argmin() + 1 and curve.passes[-1] == 6 * 160
        assert lk.says(curve).startswith("Along epochs to 6") and svg(lk.figure(curve), name="e")

    def test_a_recorded_training_tells_its_best_epoch(self):
        recorded = lk.zoo.curves("fashion_overfit")
        curve = lk.learning_curve(recorded)
        assert (
            curve.best[0] == np.argmin(recorded.valid_loss[0]) + 1
            and np.isnan(curve.best[1])
            and curve.metric == "loss"
        )
        assert "one seed" in lk.says(curve) and svg(lk.figure(curve), name="t")
        assert told(curve, "double_descent").status == "not_applicable"
        several = lk.learning_curve(lk.zoo.curves("adult_mlp"))
        assert several.seeds == 5 and several.best[1] <= several.best[0] <= several.best[2]

    def test_a_training_without_epochs_is_refused(self):
        with pytest.raises(lk.Refused, match="no epochs"):
            lk.learning_curve(lk.zoo.curves("adult_glassbox"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"along": "depth"}, "along something"),
        ({"wanted": 1.2}, "accuracy between 0 and 1"),
        ({"wanted": 0.9, "along": "width"}, "along=\"examples\""),
        ({"seeds": 1}, "seeds=1"),
        ({"points": [50, 5000]}, "whole numbers from 2 to 160"),
        ({"points": [50.5]}, "no such sizes"),
        ({"noise": 2.0}, "a share from 0 to 1"),
        ({"learner": "forest"}, "a learner"),
        ({"along": "width", "learner": "forest"}, "along width of a learner"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(options, said):
    with pytest.raises(lk.Refused, match=said):
        lk.learning_curve(dataset(), **options)


def test_data_that_say_nothing_are_refused():
    data = dataset()
    same = Dataset("same", data.train, data.train)
    few = Dataset("few", data.train[:20], data.test)
    holes = Dataset(
        "holes", data.train, replace(data.test, x=np.where(data.test.x == data.test.x[0, 0], np.nan, data.test.x))
    )
    one = Dataset("one", replace(data.train, y=np.zeros(160, np.int64)), data.test)
    for given, said in (
        (same, "the same 160 rows"),
        (few, "20 training rows"),
        (holes, "1 test values that are no finite numbers"),
        (one, "one class"),
        (data.test, "data set"),
    ):
        with pytest.raises(lk.Refused, match=said):
            lk.learning_curve(given)


def test_operations_are_those_of_the_products():
    torch.manual_seed(0)
    data = dataset()
    task = trained.Task("a test", data, Fit(epochs=1), 3, 0, "cpu", None)
    many = task.train(small, np.ones((1, 160), bool), task.fit, "160 rows")
    assert trained._flops(many, task) == 3 * 2 * (2 * 8 + 8 * 2)
