"""Models that can be read: the same sums as the libraries that fitted them, and explanations that are exact."""

from __future__ import annotations

import sys
from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import labkit as lk
from labkit.attributions._passes import WITHOUT_GRADIENTS
from labkit.core import registry
from labkit.models import glassbox
from labkit.models.architectures.additive import additive

MODELS = ("adult_glassbox", "adult_logistic")
QUICK = {"outer_bags": 2, "interactions": 3, "learning_rate": 0.2, "max_rounds": 60}


@pytest.fixture(scope="module")
def adult():
    return lk.data.load("adult")


@pytest.fixture(scope="module", params=MODELS)
def shipped(request):
    return lk.zoo.load(request.param)


@pytest.fixture(scope="module")
def mixed():
    """Two numbers and two categories, one of them with a code that no training row has, and three classes."""
    rng = np.random.default_rng(0)

    def draw(n: int, rare: int) -> tuple[np.ndarray, np.ndarray]:
        x = np.column_stack(
            [rng.normal(size=n), rng.integers(0, rare, n), rng.exponential(3, n), rng.integers(0, 3, n)]
        )
        score = x[:, 0] + (x[:, 1] == 2) * x[:, 2] - 0.5 * x[:, 3] + rng.logistic(size=n)
        return x.astype(np.float32), np.digitize(score, [-0.5, 1.0])

    return draw(700, 4), draw(300, 5), (0, 5, 0, 3)


def logits(fitted, x: np.ndarray) -> np.ndarray:
    config, state = fitted
    module = additive(**config)
    module.load_state_dict(state)
    with torch.no_grad():
        return module(torch.tensor(x)).numpy()


class TestTheSameAnswers:
    """The network gives what the library's own model gives, and needs no library to do so."""

    def test_as_the_boosting_machine(self, mixed):
        pytest.importorskip("interpret")
        (x, y), (new, _), sizes = mixed
        fitted = glassbox.boosted(x, y > 0, sizes, 2, 3, **QUICK)
        machine = glassbox.boosting_machine(sizes, 3, **QUICK).fit(glassbox.typed(x, sizes), y > 0)
        z = logits(fitted, new)
        assert (new[:, 1] == 4).any() and not (x[:, 1] == 4).any()  # unknown to the machine
        assert any(len(t) == 2 for t in fitted[0]["terms"])
        np.testing.assert_allclose(z[:, 1] - z[:, 0], machine.decision_function(glassbox.typed(new, sizes)), atol=1e-6)

    def test_as_the_boosting_machine_on_its_own_cuts(self, mixed):
        """Inputs on a cut, and the float32 numbers next to it, fall to the machine's side of it."""
        pytest.importorskip("interpret")
        (x, y), _, sizes = mixed
        fitted = glassbox.boosted(x, y > 0, sizes, 2, 0, **QUICK)
        machine = glassbox.boosting_machine(sizes, 0, **QUICK).fit(glassbox.typed(x, sizes), y > 0)
        cuts = machine.bins_[0][0].astype(np.float32)
        at = np.concatenate([cuts, np.nextafter(cuts, np.float32(9)), np.nextafter(cuts, np.float32(-9))])
        new = np.tile(x[:1], (len(at), 1))
        new[:, 0] = at
        z = logits(fitted, new)
        np.testing.assert_allclose(z[:, 1] - z[:, 0], machine.decision_function(glassbox.typed(new, sizes)), atol=1e-6)

    def test_as_the_boosting_machine_for_three_classes(self, mixed):
        pytest.importorskip("interpret")
        (x, y), (new, _), sizes = mixed
        options = QUICK | {"interactions": 0}
        machine = glassbox.boosting_machine(sizes, 0, **options).fit(glassbox.typed(x, sizes), y)
        z = logits(glassbox.boosted(x, y, sizes, 3, 0, **options), new)
        np.testing.assert_allclose(z, machine.decision_function(glassbox.typed(new, sizes)), atol=1e-6)

    @pytest.mark.parametrize("classes", [2, 3])
    def test_as_logistic_regression_on_one_hot_columns(self, mixed, classes):
        (x, y), (new, _), sizes = mixed
        y = y if classes == 3 else (y > 0).astype(int)
        options = {"tol": 1e-10, "max_iter": 5000}
        known = OneHotEncoder(categories=[np.arange(s) for s in sizes if s])
        oracle = make_pipeline(
            ColumnTransformer([("codes", known, [1, 3]), ("numbers", StandardScaler(), [0, 2])]),
            LogisticRegression(**options),
        ).fit(x.astype(float), y)
        z = logits(glassbox.logistic(x, y, sizes, classes, **options), new)
        expected = oracle.decision_function(new.astype(float))
        found = z if classes == 3 else z[:, 1] - z[:, 0]
        np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-4)
        np.testing.assert_allclose(torch.tensor(z).softmax(1), oracle.predict_proba(new.astype(float)), atol=1e-5)

    def test_a_column_without_variance_is_no_division_by_zero(self):
        x = np.column_stack([np.ones(40), np.arange(40)]).astype(np.float32)
        assert np.isfinite(logits(glassbox.logistic(x, x[:, 1] > 20, (0, 0), 2), x)).all()

    def test_without_the_package_it_says_how_to_get_it(self, mixed, monkeypatch):
        monkeypatch.setitem(sys.modules, "interpret.glassbox", None)
        (x, y), _, sizes = mixed
        with pytest.raises(lk.Refused, match=r"labkit\[glassbox\]"):
            glassbox.boosted(x, y > 0, sizes, 2, 0)


class TestShipped:
    def test_floors_on_the_whole_test_set(self, shipped, adult):
        card = lk.zoo.card(shipped.name)
        goals = registry.find("recipes", shipped.name)().goals
        p = lk.predict(shipped, adult.test)
        area, right = roc_auc_score(p.y, p.proba[:, 1]), float(np.mean(p.label == p.y))
        assert area >= goals[0].floor and area == pytest.approx(card["test"][0]["score"], abs=5e-4)
        assert right == pytest.approx(card["test"][1]["score"], abs=5e-4) and len(p) == 16_281

    def test_what_its_card_says_it_fails_at(self, shipped, adult):
        p = lk.predict(shipped, adult.test)
        told = " ".join(lk.zoo.card(shipped.name)["known_failures"])
        for group in ("Female", "Male"):
            inside = p.groups["sex"] == group
            assert f"{100 * np.mean(p.label[inside] == 1):.1f} %" in told
            assert f"{100 * np.mean(p.label[inside & (p.y == 1)] == 1):.1f} %" in told

    def test_the_glass_box_is_ahead_of_straight_lines(self, adult):
        box, line = (lk.predict(lk.zoo.load(name), adult.test) for name in MODELS)
        assert np.mean(box.label == box.y) > np.mean(line.label == line.y) + 0.01

    def test_the_sum_of_its_terms_is_its_answer(self, shipped, adult):
        x = torch.tensor(adult.test.x[:50])
        module = shipped.module
        parts = module.contributions(x)
        assert parts.shape == (50, len(module.terms), 2)
        torch.testing.assert_close(module.intercept + parts.sum(1), shipped(x))
        for t, term in enumerate(module.terms):  # what no term names changes nothing in it
            other = x.clone()
            kept = list(term.features)
            other[:, [i for i in range(x.shape[1]) if i not in kept]] = 0
            torch.testing.assert_close(term(other), parts[:, t])

    def test_its_terms_explain_it_exactly(self, shipped, adult):
        found = lk.explain(shipped, adult.test[:16], "terms", evidence=["completeness_gap"])
        total = found.attribution.astype(np.float64).sum(1)
        np.testing.assert_allclose(total, found.change, atol=5e-6)
        assert found.status == "measured" and (found.attribution[found.x == found.baseline] == 0).all()
        assert lk.check(found, only=["completeness"])[0].status == "meets"
        assert len(lk.figure(found).data) and "terms" in lk.says(found)

    @pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "input_x_gradient", "smoothgrad"])
    def test_gradient_methods_refuse_and_name_what_fits(self, shipped, adult, method):
        with pytest.raises(lk.Refused, match="without gradients") as refusal:
            lk.explain(shipped, adult.test[:2], method)
        assert refusal.value.instead == WITHOUT_GRADIENTS
        for other in ("terms", "occlusion", "kernel_shap"):
            assert other in WITHOUT_GRADIENTS
            assert lk.explain(shipped, adult.test[:2], other, evidence=()).status == "measured"

    def test_attacks_refuse_a_table(self, shipped, adult):
        with pytest.raises(lk.Refused, match="bounds"):
            lk.attack(shipped, adult.test[:8], "pgd", eps=0.1)


class TestTerms:
    @pytest.fixture(scope="class")
    def model(self):
        torch.manual_seed(0)
        parts = [[[0, 5]], [[1, 3]], [[2, 0]], [[0, 5], [1, 3]], [[3, 4], [1, 2]]]
        return lk.wrap(additive(classes=3, terms=parts), classes=["a", "b", "c"], name="sum")

    @pytest.fixture(scope="class")
    def x(self):
        return np.random.default_rng(0).integers(0, 5, (6, 4)).astype(np.float32)

    def test_are_shapley_values_counted_out(self, model, x):
        """Over all coalitions of four features."""
        baseline = np.array([1, 0, 0.5, 1], np.float32)
        found = lk.explain(model, x, "terms", baseline=baseline, evidence=())

        def value(row: int, inside: tuple[int, ...]) -> float:
            z = baseline.copy()
            z[list(inside)] = x[row, list(inside)]
            return float(model(torch.tensor(z[None]))[0, found.target[row]])

        for row in range(len(x)):
            for i in range(4):
                others = [j for j in range(4) if j != i]
                shares = [
                    (value(row, (*c, i)) - value(row, c)) / (4 * comb(3, size))
                    for size in range(4)
                    for c in combinations(others, size)
                ]
                assert found.attribution[row, i] == pytest.approx(sum(shares), abs=1e-5)

    def test_a_model_that_is_no_sum_is_refused(self, mlp, digits):
        with pytest.raises(lk.Refused, match="kernel_shap"):
            lk.explain(mlp, digits.test[:2], "terms")

    def test_a_sum_that_is_none_is_withheld(self, x):
        """A module may name terms that are not all that it does: then the promise to add up is broken, and it is said."""

        class More(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(0)
                self.sum = additive(classes=2, terms=[[[0, 5]], [[1, 5]]])
                self.terms = self.sum.terms

            def forward(self, z: torch.Tensor) -> torch.Tensor:
                return self.sum(z) * (1 + z[:, 2:3])

        model = lk.wrap(More(), classes=["no", "yes"])
        assert lk.explain(model, x + 1, "terms", baseline=0, evidence=()).status == "not_measured"
        sound = lk.wrap(More().sum, classes=["no", "yes"])
        assert lk.explain(sound, x + 1, "terms", baseline=0, evidence=()).status == "measured"

    def test_one_lookup_anywhere_leaves_a_model_without_gradients(self):
        sum_of_lines = lk.wrap(additive(classes=2, terms=[[[0, 0]], [[1, 0]]]), classes=["no", "yes"])
        assert "gradients" in sum_of_lines.capabilities
        inner = torch.nn.Sequential(additive(classes=3, terms=[[[0, 4]], [[1, 0]]]), torch.nn.Linear(3, 2))
        inside = lk.wrap(inner, classes=["no", "yes"])
        assert not {"gradients", "terms"} & inside.capabilities
