"""Every metric keeps the contract, and says what scikit-learn says where it says anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as theirs

import labkit as lk
from labkit.core import method, registry
from labkit.core.intervals import Rate
from labkit.metrics.expected_calibration_error import expected_calibration_error

METRICS = lk.names("metrics")
PROPORTIONS = {
    *("accuracy", "selection_rate", "true_positive_rate", "false_positive_rate", "precision", "scoring_rate"),
    *("false_negative_rate", "true_negative_rate", "negative_predictive_value"),
    *("false_discovery_rate", "false_omission_rate"),
}
REFERENCE = {
    "accuracy": lambda y, p, s: theirs.accuracy_score(y, p),
    "auc": lambda y, p, s: theirs.roc_auc_score(y, s),
    "balanced_accuracy": lambda y, p, s: theirs.balanced_accuracy_score(y, p),
    "brier": lambda y, p, s: theirs.brier_score_loss(y, s),
    "calibration_in_the_large": lambda y, p, s: s.mean() - y.mean(),
    "f1": lambda y, p, s: theirs.f1_score(y, p),
    "false_discovery_rate": lambda y, p, s: 1 - theirs.precision_score(y, p),
    "false_negative_rate": lambda y, p, s: 1 - theirs.recall_score(y, p),
    "false_omission_rate": lambda y, p, s: 1 - theirs.precision_score(y, p, pos_label=0),
    "false_positive_rate": lambda y, p, s: 1 - theirs.recall_score(y, p, pos_label=0),
    "log_loss": lambda y, p, s: theirs.log_loss(y, s),
    "mean_absolute_error": lambda y, p, s: theirs.mean_absolute_error(y, p),
    "mean_error": lambda y, p, s: (p - y).mean(),
    "mean_score": lambda y, p, s: p.mean(),
    "negative_predictive_value": lambda y, p, s: theirs.precision_score(y, p, pos_label=0),
    "precision": lambda y, p, s: theirs.precision_score(y, p),
    "root_mean_squared_error": lambda y, p, s: theirs.root_mean_squared_error(y, p),
    "selection_rate": lambda y, p, s: p.mean(),
    "treatment_equality": lambda y, p, s: theirs.confusion_matrix(y, p)[1, 0] / theirs.confusion_matrix(y, p)[0, 1],
    "true_negative_rate": lambda y, p, s: theirs.recall_score(y, p, pos_label=0),
    "true_positive_rate": lambda y, p, s: theirs.recall_score(y, p),
}


def case(n: int = 200, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, n)
    s = np.round(np.clip(0.3 * y + 0.7 * generator.random(n), 0, 1), 2)
    return {"y_true": y, "y_pred": (s > 0.5).astype(np.int64), "y_proba": s, "above": s > np.median(s)}


def ask(name: str, columns: dict[str, np.ndarray], **more):
    function = registry.find("metrics", name)
    return function(**{k: columns[k] for k in method.needs(function)}, **more)


@pytest.mark.parametrize("name", METRICS)
def test_contract(name: str) -> None:
    columns = case()
    before = {k: v.copy() for k, v in columns.items()}
    value = ask(name, columns)
    low, high = method.range_of(registry.find("metrics", name), (0.0, 1.0))
    assert isinstance(value, float) and low <= value <= high
    assert set(method.needs(registry.find("metrics", name))) <= {"y_true", "y_pred", "y_proba", "above"}
    assert all((columns[k] == before[k]).all() for k in columns), "inputs were changed"
    assert isinstance(value, Rate) == (name in PROPORTIONS)

    order = np.random.default_rng(1).permutation(200)
    assert ask(name, {k: v[order] for k, v in columns.items()}) == pytest.approx(value, abs=1e-12)
    assert ask(name, {k: np.tile(v, 2) for k, v in columns.items()}, weight=np.r_[np.ones(200), np.zeros(200)]) == (
        pytest.approx(value, abs=1e-12)
    )


@pytest.mark.parametrize("name", METRICS)
def test_a_weight_is_a_repetition_for_any_leading_axes(name: str) -> None:
    columns = case()
    weight = np.random.default_rng(2).integers(0, 4, (3, 2, 200))
    found = ask(name, columns, weight=weight)
    assert found.shape == (3, 2)
    for index in np.ndindex(3, 2):
        rows = np.repeat(np.arange(200), weight[index])
        assert found[index] == pytest.approx(ask(name, {k: v[rows] for k, v in columns.items()}), abs=1e-12)


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_agrees_with_scikit_learn(name: str) -> None:
    for seed in range(3):
        columns = case(seed=seed)
        expected = REFERENCE[name](columns["y_true"], columns["y_pred"], columns["y_proba"])
        assert ask(name, columns) == pytest.approx(expected, abs=1e-12)


def test_accuracy_and_balanced_accuracy_take_any_number_of_classes() -> None:
    generator = np.random.default_rng(0)
    y, p = generator.integers(0, 5, 300), generator.integers(0, 5, 300)
    columns = {"y_true": y, "y_pred": np.where(generator.random(300) < 0.5, y, p)}
    assert ask("accuracy", columns) == pytest.approx(theirs.accuracy_score(**columns))
    assert ask("balanced_accuracy", columns) == pytest.approx(theirs.balanced_accuracy_score(**columns))


@pytest.mark.parametrize(
    ("name", "y", "answer"),
    [
        ("true_positive_rate", 0, 1),
        ("false_positive_rate", 1, 1),
        ("precision", 1, 0),
        ("false_negative_rate", 0, 1),
        ("true_negative_rate", 1, 1),
        ("negative_predictive_value", 1, 1),
        ("false_discovery_rate", 1, 0),
        ("false_omission_rate", 1, 1),
        ("treatment_equality", 1, 0),
        ("f1", 0, 0),
        ("auc", 1, 1),
        ("balanced_accuracy", 1, 1),
    ],
)
def test_what_is_undefined_is_unknown_and_never_zero(name: str, y: int, answer: int) -> None:
    columns = {"y_true": np.full(9, y), "y_pred": np.full(9, answer), "y_proba": np.full(9, float(answer))}
    assert np.isnan(ask(name, columns))
    assert np.isnan(ask(name, columns, weight=np.ones((4, 9)))).all()


def test_calibration_error_of_known_cases() -> None:
    y = np.r_[np.zeros(5000), np.ones(5000)]
    assert expected_calibration_error(y, y) == 0
    assert expected_calibration_error(y, 1 - y) == 1
    assert expected_calibration_error(y, np.full(10_000, 0.7)) == pytest.approx(0.2, abs=1e-6)


def test_calibration_error_is_less_biased_than_the_plain_one() -> None:
    generator, plain, debiased = np.random.default_rng(0), [], []
    for _ in range(300):
        s = generator.random(200)
        y = generator.random(200) < s
        order = np.argsort(s)
        parts = np.array_split(order, 15)
        plain.append(sum(abs(y[i].mean() - s[i].mean()) * len(i) for i in parts) / 200)
        debiased.append(expected_calibration_error(y, s))
    assert np.mean(debiased) < 0.65 * np.mean(plain)


def test_equal_probabilities_share_a_bin() -> None:
    generator = np.random.default_rng(0)
    s = generator.choice([0.1, 0.2, 0.8], 600, p=[0.5, 0.3, 0.2])
    y = generator.random(600) < s
    values = {expected_calibration_error(y[i], s[i]) for i in (generator.permutation(600) for _ in range(20))}
    assert max(values) - min(values) < 1e-12


def test_the_metric_of_the_how_to_page_works_as_it_stands() -> None:
    page = (Path(__file__).parent.parent / "docs" / "add_a_metric.md").read_text(encoding="utf-8")
    names: dict = {"__name__": "docs"}
    exec(compile(page.split("```python\n")[1].split("```")[0], "docs", "exec", dont_inherit=True), names)  # noqa: S102
    columns = case()
    value = names["miss_rate_of_the_sure"](columns["y_true"], columns["y_proba"])
    sure = columns["y_proba"] < 0.1
    assert isinstance(value, Rate) and value == columns["y_true"][sure].mean()
