"""Explanations of the whole model: permutation importance, effects of a column, a tree that stands for the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.analyses._columns import associations


class Scores(nn.Module):
    """Two logits (0, f(x))."""

    def __init__(self, f) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.f(x)
        return torch.stack([torch.zeros_like(value), value], 1)


def values_of(f):
    class Value(nn.Module):
        def forward(self, x):
            return f(x)[:, None]

    return lk.wrap(Value(), classes=["value"], outputs="values")


def table(x: np.ndarray, y: np.ndarray | None = None, categories: dict[int, tuple[str, ...]] | None = None):
    coded = categories or {}
    features = tuple(
        lk.data.Feature(f"c{i}", "categorical" if i in coded else "numeric", categories=coded.get(i, ()))
        for i in range(x.shape[1])
    )
    schema = lk.data.Schema("tabular", "t", (x.shape[1],), features=features)
    y = np.zeros(len(x), np.int64) if y is None else y
    return lk.data.Split(x.astype(np.float32), y, schema, ("no", "yes"), "toy")


@pytest.fixture(scope="module")
def correlated() -> np.ndarray:
    generator = np.random.default_rng(0)
    first = generator.uniform(0, 1, 2000)
    return np.stack([first, first + 0.02 * generator.normal(size=2000), generator.normal(size=2000)], 1)


def test_partial_dependence_is_misled_by_correlation_and_accumulated_local_effects_are_not(correlated):
    record = lk.feature_effect(values_of(lambda x: x[:, 0] * x[:, 1]), table(correlated), "c0", values=40, rows=2000)
    np.testing.assert_allclose(record.partial, record.grid * correlated[:, 1].mean(), atol=0.01)
    truth = record.edges**2 / 2  # the slope along x1 is x2, which is x1
    np.testing.assert_allclose(record.local - record.local.mean(), truth - truth.mean(), atol=0.02)
    assert record.alike == ("c1",) and "c1" in record.warnings[0]
    assert (record.local_low <= record.local).all() and (record.local <= record.local_high).all()


def test_an_additive_model_has_both_effects_alike(correlated):
    f = lambda x: torch.sin(3 * x[:, 0]) + x[:, 1] ** 2  # noqa: E731
    record = lk.feature_effect(values_of(f), table(correlated), 0, rows=2000)
    np.testing.assert_allclose(record.partial - record.partial.mean(), record.local - record.local.mean(), atol=5e-3)
    share = np.searchsorted(record.edges, correlated[:, 0].astype(np.float32)).clip(1, len(record.edges) - 1)
    middle = (record.local[share - 1] + record.local[share]) / 2
    assert abs(middle.mean()) < 1e-6, "accumulated effects have mean 0 over the rows"
    assert record.against == 0


def test_partial_dependence_is_scikit_learns(correlated):
    from sklearn.inspection import partial_dependence
    from sklearn.linear_model import LogisticRegression

    y = (correlated[:, 0] + correlated[:, 2] > 0.5).astype(int)
    fitted = LogisticRegression().fit(correlated, y)
    w, b = torch.tensor(fitted.coef_[0], dtype=torch.float32), float(fitted.intercept_[0])
    model = lk.wrap(Scores(lambda x: x @ w + b), classes=["no", "yes"])
    record = lk.feature_effect(model, table(correlated, y), "c2", rows=2000)
    oracle = partial_dependence(
        fitted, correlated, [2], custom_values={2: record.grid}, response_method="predict_proba", kind="both"
    )
    np.testing.assert_allclose(record.partial, oracle["average"][0], atol=1e-5)
    np.testing.assert_allclose(record.lines[0], oracle["individual"][0][0], atol=1e-5)


def test_bands_of_local_effects_cover(correlated):
    """The mean effect up to the end is known: noise of known size in the model's slope."""
    hits = 0
    for seed in range(40):
        x = np.random.default_rng(seed).uniform(size=(300, 2))
        # the rise over an interval of width h is h * (1 + z): z differs from row to row
        record = lk.feature_effect(values_of(lambda x: x[:, 0] * (1 + 4 * (x[:, 1] - 0.5))), table(x), 0, values=6)
        rise = record.local[-1] - record.local[0]
        half = np.hypot(*(record.local_high[[0, -1]] - record.local[[0, -1]]))
        hits += abs(rise - np.ptp(record.edges)) < half * np.sqrt(2)
    assert hits >= 35


def test_effects_of_categories_have_no_order(correlated):
    x = np.stack([np.arange(300) % 3, np.arange(300) / 300], 1)
    data = table(x, categories={0: ("a", "b", "c")})
    record = lk.feature_effect(values_of(lambda x: (x[:, 0] == 1).float() + x[:, 1]), data, "c0")
    np.testing.assert_allclose(record.partial - record.partial[0], [0, 1, 0], atol=1e-6)
    assert record.categories == ("a", "b", "c") and not len(record.edges) and record.against == -1
    assert "with b 1.50" in lk.says(record)


def test_lines_that_go_the_other_way_are_counted(correlated):
    x = np.stack([np.linspace(0, 1, 100), (np.arange(100) < 20).astype(float)], 1)
    record = lk.feature_effect(values_of(lambda x: x[:, 0] * (1 - 2 * x[:, 1])), table(x), "c0")
    assert record.against == 20 and "20 of 100" in lk.says(record)


def importance(model, data, *args, **options):
    return lk.permutation_importance(model, data, *args, replicates=50, **options)


def test_permutation_importance_is_scikit_learns_and_0_for_what_the_model_ignores(correlated):
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LogisticRegression

    x = np.random.default_rng(1).normal(size=(1500, 3))
    y = (x[:, 0] + 0.5 * x[:, 1] + 0.3 * np.random.default_rng(2).normal(size=1500) > 0).astype(int)
    fitted = LogisticRegression().fit(x, y)
    fitted.coef_[0, 2] = 0.0
    w, b = torch.tensor(fitted.coef_[0], dtype=torch.float32), float(fitted.intercept_[0])
    model = lk.wrap(Scores(lambda x: x @ w + b), classes=["no", "yes"])
    record = importance(model, table(x, y), deals=10)
    oracle = permutation_importance(fitted, x, y, n_repeats=20, random_state=0).importances_mean
    np.testing.assert_allclose(record.loss, oracle, atol=0.02)
    assert record.loss[2] == 0 and record.loss_low[2] == record.loss_high[2] == 0
    assert (record.loss_low[:2] > 0).all()
    again = importance(model, table(x, y), deals=10, batch_size=7)
    np.testing.assert_array_equal(record.loss, again.loss)
    worse = importance(model, table(x, y), "brier", positive="yes")
    assert worse.loss[0] > 0.05, "a loss is above 0 also where lower values are better"


def test_columns_dealt_out_together_and_their_partners(correlated):
    y = (correlated[:, 0] > 0.5).astype(int)
    model = lk.wrap(Scores(lambda x: 20 * (x[:, 0] + x[:, 1] - 1)), classes=["no", "yes"])
    apart = importance(model, table(correlated, y))
    both = importance(model, table(correlated, y), features={"twins": ["c0", "c1"]})
    assert both.features == ("twins", "c2") and both.columns.tolist() == [2, 1]
    assert both.loss[0] > 1.4 * apart.loss[0], "each alone hides what the other carries"
    assert set(apart.shared) == {0, 1} and both.shared == ()
    assert "c0 and c1" in lk.says(apart)


def test_associations():
    generator = np.random.default_rng(0)
    code = generator.integers(0, 4, 1500)
    x = np.stack([code, (code + 1) % 4, code + 0.1 * generator.normal(size=1500), generator.integers(0, 4, 1500)], 1)
    found = associations(table(x, categories={i: tuple("abcd") for i in (0, 1, 3)}))
    assert found[0, 1] == pytest.approx(1, abs=5e-3) and found[0, 2] > 0.95
    assert found[0, 3] < 0.08 and found[2, 3] < 0.08 and np.array_equal(found, found.T)


def test_a_tree_stands_for_a_model_that_is_one(correlated):
    x = np.concatenate([correlated, (np.arange(2000) % 3)[:, None]], 1)
    model = lk.wrap(Scores(lambda x: 4.0 * ((x[:, 0] > 0.4) & (x[:, 3] == 1)) - 2), classes=["no", "yes"])
    y = ((x[:, 0] > 0.4) & (x[:, 3] == 1)).astype(np.int64)
    split = table(x, y, {3: ("red", "green", "blue")})
    data = lk.data.Dataset("toy", split[:1000], split[1000:])
    record = lk.surrogate(model, data, depth=3)
    assert record.agreement[-1] >= 0.995 and record.explained > 0.97
    assert record.agreement[0] < 0.9 and record.majority == pytest.approx(np.mean(y[1000:] == 0))
    yes = [rule for rule, answer in zip(record.rules, record.answer) if answer == "yes"]
    assert yes and all("c3 is green" in rule and "above" in rule for rule in yes)
    assert record.covers.sum() == record.n == 1000
    assert record.agrees.sum() / 1000 == pytest.approx(record.agreement[-1])
    beside = lk.baselines(model, data)
    assert record.gap == pytest.approx(record.model_accuracy - beside.score[beside.can_be_read].max(), abs=1e-9)


def test_a_tree_that_does_not_fit_says_so(correlated):
    model = lk.wrap(Scores(lambda x: torch.sin(40 * x[:, 2]) * 5), classes=["no", "yes"])
    split = table(correlated, (np.sin(40 * correlated[:, 2]) > 0).astype(np.int64))
    record = lk.surrogate(model, lk.data.Dataset("toy", split[:1000], split[1000:]), depth=2)
    assert record.agreement_low[-1] < 0.62 and record.explained < 0.1


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda m, d: lk.feature_effect(m, d, "c9"), "c0"),
        (lambda m, d: lk.feature_effect(m, d, -1), "c0"),
        (lambda m, d: lk.feature_effect(m, d, "c0", "maybe"), "yes"),
        (lambda m, d: lk.feature_effect(m, d, "c0", values=1), "at least 2"),
        (lambda m, d: lk.feature_effect(m, d.x, "c0"), "named columns"),
        (lambda m, d: lk.feature_effect(m, d[:1], "c0"), "a column that differs"),
        (lambda m, d: lk.permutation_importance(m, d, deals=0), "at least 1"),
        (lambda m, d: lk.permutation_importance(m, d, features={"a": ["c0"], "b": ["c0"]}), "each column in one"),
        (lambda m, d: lk.permutation_importance(m, lk.data.load("digits").test), "a table"),
        (lambda m, d: lk.permutation_importance(m, d, "selection_rate", positive="yes"), "neither end is better"),
        (lambda m, d: lk.surrogate(m, d.x), ".train and .test"),
        (lambda m, d: lk.surrogate(m, lk.data.Dataset("t", d, d), depth=0), "1 to 10"),
        (
            lambda m, d: lk.surrogate(
                lk.wrap(Scores(lambda x: 0 * x[:, 0] - 9), classes=["no", "yes"]), lk.data.Dataset("t", d, d)
            ),
            "more than one answer",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(ask, says, correlated):
    model = lk.wrap(Scores(lambda x: x[:, 0] - 0.5), classes=["no", "yes"])
    with pytest.raises(lk.Refused, match=says):
        ask(model, table(correlated[:60], (correlated[:60, 0] > 0.5).astype(np.int64)))


def test_records_are_kept_and_drawn(tmp_path, correlated):
    model = lk.wrap(Scores(lambda x: 9 * (x[:, 0] - 0.5)), classes=["no", "yes"])
    split = table(correlated[:400], (correlated[:400, 0] > 0.5).astype(np.int64))
    made = [
        lk.feature_effect(model, split, "c0"),
        importance(model, split),
        lk.surrogate(model, lk.data.Dataset("toy", split[:200], split[200:])),
    ]
    for record in made:
        lk.save(record, tmp_path / "r.lk")
        again = lk.load(tmp_path / "r.lk")
        assert lk.says(again) == lk.says(record) and len(lk.rows(again)) and lk.figure(again).data
