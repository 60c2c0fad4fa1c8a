"""Mitigations before and after training, against closed forms, enumerations and fairlearn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.preprocessing import CorrelationRemover
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

import labkit as lk
from labkit.core import method, registry
from labkit.mitigations._rules import margin

BEFORE = ("reweighing", "resampling", "label_massaging", "correlation_removal", "representation_learning")
AFTER = {
    "group_thresholds": "selection_rate", "blind_thresholds": "selection_rate", "reject_option": "selection_rate",
    "calibrated_equalized_odds": "true_positive_rate", "equalized_odds_postprocessing": "equalized_odds",
}  # fmt: skip
QUICK: dict[str, dict[str, Any]] = {"representation_learning": {"steps": 20}}


class Spy:
    """A learner that keeps what it was given; it answers by a logistic regression."""

    takes_objective = False

    def __init__(self, classes: int = 2) -> None:
        self.classes, self.seen = classes, []

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: Any = None, objective: Any = None) -> Any:
        self.seen.append((x, y, weight))
        model = LogisticRegression().fit(x, y, sample_weight=weight)
        return model.predict_proba


def people(n: int = 2000, classes: int = 2, groups: int = 2, seed: int = 0) -> dict[str, Any]:
    """Group 0 has fewer positives, scores that say so, and inputs that tell the group."""
    generator = np.random.default_rng(seed)
    group = generator.integers(0, groups, n)
    x = generator.normal(size=(n, 4))
    x[:, 0] += 1.0 * (group > 0)
    x[:, 1] += 0.8 * group
    logits = np.stack([c * 0.7 * (x[:, 0] + x[:, 2]) - 0.6 * c for c in range(classes)], 1)
    score = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (score.cumsum(1) < generator.random((n, 1))).sum(1)
    return {
        "x": x, "blind": x, "y": y, "group": group, "score": score, "positive": classes - 1, "seed": 0,
        "generator": np.random.default_rng(1), "fit": Spy(classes),
    }  # fmt: skip


def rule(name: str, data: dict[str, Any], **options: Any) -> Any:
    function = registry.find("mitigations", name)
    offered = {"criterion": AFTER.get(name, "selection_rate"), **data}
    return method.call(function, method.bind("mitigations", name, function, options), offered)


def answered(answer: Any, data: dict[str, Any]) -> np.ndarray:
    names = method.needs(answer)
    return np.asarray(answer(*(data[n] if n in data else data["x"] for n in names)))


def shares(chance: np.ndarray, group: np.ndarray, among: Any = slice(None)) -> np.ndarray:
    return np.array([chance[among][group[among] == g].mean() for g in np.unique(group)])


def test_reweighing_is_the_papers_table_and_makes_class_and_group_independent() -> None:
    # the example of Kamiran and Calders, 2012: ten applicants, five women of whom two and five men of whom four get the job
    group, y = np.repeat([0, 1], 5), np.array([1, 1, 0, 0, 0, 1, 1, 1, 1, 0])
    data = {"x": np.arange(10.0)[:, None], "y": y, "group": group, "fit": Spy()}
    rule("reweighing", data)
    weight = data["fit"].seen[0][2]
    by_hand = {(0, 1): 1.5, (0, 0): 2 / 3, (1, 1): 0.75, (1, 0): 2.0}
    assert weight == pytest.approx([by_hand[g, k] for g, k in zip(group, y)])
    data = people(classes=3, groups=3)
    rule("reweighing", data)
    table = np.zeros((3, 3))
    np.add.at(table, (data["group"], data["y"]), data["fit"].seen[0][2])
    assert table == pytest.approx(np.outer(table.sum(1), table.sum(0)) / table.sum())


def test_resampling_makes_class_and_group_independent_from_people_who_are_there() -> None:
    data = people(classes=3, groups=2)
    data["x"][:, 3] = np.arange(len(data["y"]))
    rule("resampling", data)
    x, y, _ = data["fit"].seen[-1]
    rows = x[:, 3].astype(int)
    assert (data["y"][rows] == y).all()
    table = np.histogram2d(data["group"][rows], y, (2, 3))[0]
    assert np.abs(table - np.outer(table.sum(1), table.sum(0)) / table.sum()).max() < 2
    counts, now = np.histogram2d(data["group"], data["y"], (2, 3))[0], np.bincount(rows, minlength=2000)
    for g, k in np.ndindex(2, 3):
        here = now[(data["group"] == g) & (data["y"] == k)]
        assert (here.min() >= 1) if table[g, k] >= counts[g, k] else (here.max() <= 1), "repeated evenly, or left out"


def test_resampling_at_the_border_repeats_and_leaves_out_whom_the_model_is_least_sure_of() -> None:
    data = people()
    data["x"][:, 3] = np.arange(len(data["y"]))
    rule("resampling", data, prefer="border")
    rank = data["fit"](*data["fit"].seen[0][:2])(data["x"])[:, 1]
    now = np.bincount(data["fit"].seen[1][0][:, 3].astype(int), minlength=2000)
    for g, k in np.ndindex(2, 2):
        inside = np.flatnonzero((data["group"] == g) & (data["y"] == k))
        order = inside[np.argsort(rank[inside] if k else -rank[inside])]
        assert (np.diff(now[order]) * (-1 if now[inside].max() > 1 else 1) >= 0).all()


def test_massaging_changes_the_papers_number_of_labels_nearest_the_border() -> None:
    data = people()
    rule("label_massaging", data)
    changed, y, group = data["fit"].seen[1][1], data["y"], data["group"]
    n0, n1 = np.bincount(group)
    apart = y[group == 1].mean() - y[group == 0].mean()
    up, down = (changed > y), (changed < y)
    assert up.sum() == down.sum() == np.rint(apart * n0 * n1 / len(y)), "M of Kamiran and Calders"
    assert (group[up] == 0).all() and (group[down] == 1).all()
    rank = data["fit"](*data["fit"].seen[0][:2])(data["x"])[:, 1]
    assert rank[up].min() >= rank[(group == 0) & (changed == 0)].max()
    assert rank[down].max() <= rank[(group == 1) & (changed == 1)].min()
    assert shares(changed, group) == pytest.approx(np.full(2, y.mean()), abs=1e-3)


def test_correlation_removal_is_fairlearns() -> None:
    data = people(groups=3)
    frame = np.column_stack([np.eye(3)[data["group"]][:, 1:], data["x"]])
    for strength in (0.3, 1.0):
        answer = rule("correlation_removal", data, strength=strength)
        theirs = CorrelationRemover(sensitive_feature_ids=[0, 1], alpha=strength).fit_transform(frame)
        assert data["fit"].seen[-1][0] == pytest.approx(theirs)
        assert answered(answer, data) == pytest.approx(
            LogisticRegression().fit(theirs, data["y"]).predict_proba(theirs)
        )


def test_learned_codes_tell_the_class_and_hardly_the_group() -> None:
    data = people(3000)
    rule("representation_learning", data, steps=300, parity=100.0)
    seen = data["fit"].seen[0][0]
    told = [[LogisticRegression().fit(x, k).score(x, k) for k in (data["group"], data["y"])] for x in (data["x"], seen)]
    (group_before, class_before), (group_now, class_now) = told
    assert group_before > 0.72 and group_now < 0.66, "half is chance"
    assert class_now > class_before - 0.05 and class_before > 0.68


@pytest.mark.parametrize("criterion", ["selection_rate", "true_positive_rate", "false_positive_rate"])
def test_group_thresholds_equalize_the_rate_at_the_best_accuracy(criterion: str) -> None:
    data = people(600)
    truth, group = data["y"] == 1, data["group"]
    chance = answered(rule("group_thresholds", {**data, "criterion": criterion}), data)[:, 1]
    among = {"s": np.ones(600, bool), "t": truth, "f": ~truth}[criterion[0]]
    rates = shares(chance, group, among)
    assert np.ptp(rates) < 0.02 and set(chance) == {0.0, 1.0}
    best = 0.0
    above = margin(data["score"], 1)
    for first in np.unique(above[group == 0]):  # every pair of thresholds with as near rates
        level = (above[among & (group == 0)] > first).mean()
        other = np.quantile(above[among & (group == 1)], 1 - level) if level < 1 else -2
        best = max(best, ((above > np.where(group == 0, first, other)) == truth).mean())
    assert (chance == truth).mean() > best - 0.005
    names = {"selection_rate": "demographic_parity"}
    theirs = ThresholdOptimizer(estimator=Given(), constraints=names.get(criterion, criterion + "_parity"), prefit=True, predict_method="predict_proba")  # fmt: skip
    theirs.fit(data["score"], data["y"], sensitive_features=group)
    pmf = theirs._pmf_predict(data["score"], sensitive_features=group)[:, 1]
    assert (chance == truth).mean() == pytest.approx(np.where(truth, pmf, 1 - pmf).mean(), abs=0.01)


class Given(ClassifierMixin, BaseEstimator):
    """An estimator for fairlearn whose inputs are the scores."""

    classes_ = np.array([0, 1])

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, *_: Any) -> Given:
        return self


def test_equalized_odds_postprocessing_is_fairlearns() -> None:
    data = people(1500)
    truth, group = data["y"] == 1, data["group"]
    ours = answered(rule("equalized_odds_postprocessing", data), data)[:, 1]
    theirs = ThresholdOptimizer(
        estimator=Given(), constraints="equalized_odds", prefit=True, predict_method="predict_proba"
    )
    theirs.fit(data["score"], data["y"], sensitive_features=group)
    pmf = theirs._pmf_predict(data["score"], sensitive_features=group)[:, 1]
    for among in (truth, ~truth):
        assert np.ptp(shares(ours, group, among)) < 1e-9
        assert shares(ours, group, among) == pytest.approx(shares(pmf, group, among), abs=0.01)
    assert np.where(truth, ours, 1 - ours).mean() == pytest.approx(np.where(truth, pmf, 1 - pmf).mean(), abs=1e-3)
    assert ((ours > 0) & (ours < 1)).any(), "lots are drawn"


def test_blind_thresholds_reach_what_the_inputs_tell_and_no_more() -> None:
    data = people()
    group, truth = data["group"], data["y"] == 1
    told = {**data, "blind": np.column_stack([8.0 * group, data["x"]])}
    chance = answered(rule("blind_thresholds", told), told)[:, 1]
    knowing = answered(rule("group_thresholds", data), data)[:, 1]
    assert np.ptp(shares(chance, group)) < 0.02
    assert (chance == truth).mean() == pytest.approx((knowing == truth).mean(), abs=0.01), "as if the group were read"
    plain = (data["score"][:, 1] > 0.5).astype(float)
    noise = {**data, "blind": np.random.default_rng(5).normal(size=(2000, 2))}
    silent = answered(rule("blind_thresholds", noise), noise)[:, 1]
    assert np.ptp(shares(silent, group)) > 0.6 * np.ptp(shares(plain, group)), (
        "what does not tell the group cannot help"
    )


def test_reject_option_turns_answers_near_the_border_for_and_against() -> None:
    data = people()
    group, score = data["group"], data["score"][:, 1]
    chance = answered(rule("reject_option", data), data)[:, 1]
    plain = (score > 0.5).astype(float)
    up, down = chance > plain, chance < plain
    assert up.any() and down.any() and (group[up] == 0).all() and (group[down] == 1).all()
    best = min(  # every symmetric region, one width at a time
        (round(np.ptp(shares(np.where(np.abs(score - 0.5) < w, group == 0, plain), group)), 9), w)
        for w in np.linspace(0, 0.5, 201)
    )
    assert np.ptp(shares(chance, group)) == pytest.approx(best[0], abs=1e-6)
    half = answered(rule("reject_option", data, strength=0.5), data)[:, 1]
    turned = half != plain
    assert np.abs(score[turned] - 0.5).max() <= best[1] / 2 < np.abs(score[up | down] - 0.5).max()


@pytest.mark.parametrize("criterion", ["true_positive_rate", "false_positive_rate", "equalized_odds"])
def test_calibrated_equalized_odds_makes_the_generalized_errors_equal(criterion: str) -> None:
    data = {**people(3000), "criterion": criterion}
    score, truth, group = data["score"][:, 1].copy(), data["y"] == 1, data["group"]
    noise = np.random.default_rng(3).normal(size=3000) * (group == 0)
    score = 1 / (1 + np.exp(-(np.log(score / (1 - score)) * np.where(group == 0, 0.3, 1.5) + 0.3 * noise)))
    data["score"] = np.stack([1 - score, score], 1)
    costs, trivial, parts = [], [], [0, 1]
    for g in parts:
        s, t = score[group == g], truth[group == g]
        weigh = {"t": (1, 0), "f": (0, 1), "e": (t.mean(), 1 - t.mean())}[criterion[0]]
        cost = lambda v: weigh[0] * (1 - v[t]).mean() + weigh[1] * v[~t].mean()  # noqa: B023, E731
        costs.append(cost(s))
        trivial.append(cost(np.full(len(t), t.mean())))
    better = int(np.argmin(costs))
    alpha = min(1.0, (max(costs) - costs[better]) / (trivial[better] - costs[better]))
    chance = answered(rule("calibrated_equalized_odds", data), data)[:, 1]
    plain = (score > 0.5).astype(float)
    lots = plain + alpha * ((truth[group == better].mean() > 0.5) - plain)
    assert alpha > 0 and chance == pytest.approx(np.where(group == better, lots, plain))


@pytest.mark.parametrize("name", [*BEFORE, *AFTER])
def test_at_strength_0_nothing_changes(name: str) -> None:
    data = people()
    chances = answered(rule(name, data, strength=0.0), data)
    if name in AFTER:
        assert (chances == np.eye(2)[data["score"].argmax(1)]).all()
    else:
        x, y, weight = data["fit"].seen[-1]
        order = np.lexsort(data["x"].T)
        assert (
            np.sort(x[:, 0]) == pytest.approx(np.sort(data["x"][:, 0]))
            and (np.bincount(y) == np.bincount(data["y"])).all()
        )
        assert weight is None or (weight == 1).all()
        assert chances[order] == pytest.approx(Spy()(data["x"], data["y"])(data["x"])[order], abs=1e-3)


@pytest.mark.parametrize("name", [*BEFORE, *AFTER])
def test_several_classes_and_groups_or_a_refusal_that_names_what_takes_them(name: str) -> None:
    data = people(classes=3, groups=3)
    if name in ("label_massaging", "reject_option", "calibrated_equalized_odds"):
        with pytest.raises(lk.Refused, match="reweighing, resampling"):
            rule(name, data)
        return
    chances = answered(rule(name, data, **QUICK.get(name, {})), data)
    assert chances.shape == (2000, 3) and (chances >= 0).all() and chances.sum(1) == pytest.approx(np.ones(2000))
    if name in AFTER:
        rates = shares(chances[:, 2], data["group"], data["y"] == 2 if AFTER[name] == "equalized_odds" else slice(None))
        plain = shares(np.eye(3)[data["score"].argmax(1)][:, 2], data["group"])
        assert np.ptp(rates) < 0.3 * np.ptp(plain)
        others = chances[:, :2].sum(1) > 0
        assert (chances[others][:, :2].argmax(1) == data["score"][others][:, :2].argmax(1)).all(), "the likeliest other"


@pytest.mark.parametrize("name", ["correlation_removal", *[n for n in AFTER if n != "blind_thresholds"]])
def test_f17_a_group_that_was_never_seen_is_refused_and_never_guessed(name: str) -> None:
    data = people()
    answer = rule(name, data)
    for stranger in (7, -1):
        with pytest.raises(lk.Refused, match="1 of 2000 people of a group that the rule was not fitted on"):
            answered(answer, {**data, "group": np.where(np.arange(2000) == 5, stranger, data["group"])})
    assert answered(answer, data).shape == (2000, 2)


@pytest.mark.parametrize("name", list(AFTER))
def test_a_criterion_that_a_rule_cannot_reach_is_refused(name: str) -> None:
    with pytest.raises(lk.Refused, match=r"group_thresholds|selection_rate"):
        rule(name, {**people(), "criterion": "precision"})


@pytest.mark.parametrize(
    "name", ["group_thresholds", "reject_option", "calibrated_equalized_odds", "equalized_odds_postprocessing"]
)
def test_a_group_without_a_positive_is_refused(name: str) -> None:
    data = people()
    data["y"] = np.where(data["group"] == 0, 0, data["y"])
    with pytest.raises(lk.Refused, match="more people to fit on"):
        rule(name, {**data, "criterion": "true_positive_rate"})


def test_offering_the_same_gives_the_same() -> None:
    for name in ("resampling", "representation_learning"):
        first, second = (answered(rule(name, people(500), **QUICK.get(name, {})), people(500)) for _ in range(2))
        assert (first == second).all()
