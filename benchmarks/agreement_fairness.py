"""Point values of fairness beside fairlearn, AIF360 and Aequitas: the largest absolute difference of each.

``python -m benchmarks agreement_fairness``. The answers are those of reference models on held-out people of Adult, COMPAS
and German credit; mitigations are fitted on those people. AIF360 and Aequitas are no dependencies: without them their rows
are left out with a sentence. ``pip install --no-deps aif360==0.6.1``; Aequitas 1.1 asks for pandas below 3, so
``pip install --no-deps aequitas==1.1.0 seaborn altair markdown2 narwhals``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from fairlearn import metrics as fairlearn
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.preprocessing import CorrelationRemover
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_score

import labkit as lk
from benchmarks import _aif360
from labkit.analyses import _examples
from labkit.analyses._groups import alike as _alike
from labkit.analyses._groups.grouping import grouping
from labkit.core import method, registry

MODELS = {"adult": "adult_logistic", "compas": "compas_mlp", "german": "german_mlp"}
NEIGHBOURS = 1000  # people of whom consistency is asked: AIF360 looks for neighbours in a ball tree, slowly
FAIRLEARN = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
    "false_negative_rate": fairlearn.false_negative_rate,
    "true_negative_rate": fairlearn.true_negative_rate,
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "precision": lambda y, label: precision_score(y, label, zero_division=np.nan),
}
AEQUITAS = {
    "true_positive_rate": "tpr",
    "false_positive_rate": "fpr",
    "false_negative_rate": "fnr",
    "true_negative_rate": "tnr",
    "precision": "precision",
    "false_discovery_rate": "fdr",
    "false_omission_rate": "for",
    "negative_predictive_value": "npv",
    "selection_rate": "pprev",
    "base_rate": "prev",
}
Row = tuple[str, str, Any, Any]  # peer, what, ours, theirs
Reached = tuple[str, float, float, float]  # whose, accuracy, balanced accuracy, what is left apart


@dataclass(frozen=True)
class People:
    """Held-out people of one data set, and what a model answers them."""

    name: str
    p: lk.Predictions
    split: lk.data.Split

    @property
    def frame(self) -> pd.DataFrame:
        """Truth, answer and score of class 1, and every sensitive feature; only people whose sex is known."""
        made = {"y": self.p.y, "label": self.p.label, "score": self.p.proba[:, 1].astype(float)}
        return pd.DataFrame({**made, **self.p.groups})

    def offered(self) -> dict[str, Any]:
        """What mitigations may name, with sex as the group."""
        found = grouping("agreement", self.p, "sex")
        split, _ = _alike._without("agreement", self.split, [found])
        x = np.asarray(_examples.input_space(split)[1](split.x), float)
        score = self.p.proba.astype(float)
        return {"x": x, "y": self.p.y, "group": found.code, "score": score, "positive": 1, "seed": 0}


def people() -> Iterator[People]:
    for name, model in MODELS.items():
        split = lk.data.load(name).test
        yield People(name, lk.predict(lk.zoo.load(model), split), split)


def rule(name: str, offered: dict[str, Any], **options: Any) -> Callable[..., np.ndarray]:
    function = registry.find("mitigations", name)
    return method.call(function, method.bind("mitigations", name, function, options), offered)


def given_to_the_learner(name: str, offered: dict[str, Any]) -> dict[str, Any]:
    """What a pre-processing method hands to ``fit``."""
    kept: dict[str, Any] = {}

    def fit(x: np.ndarray, y: np.ndarray, weight: Any = None, objective: Any = None) -> Callable[..., np.ndarray]:
        kept.update(x=x, y=y, weight=weight)
        return lambda x: np.ones((len(x), 2)) / 2

    rule(name, {**offered, "fit": fit})
    return kept


def beside_fairlearn(who: People) -> Iterator[Row]:
    frame, features = who.frame, list(who.p.groups)
    names = list(FAIRLEARN)
    found = lk.audit_groups(who.p, names, by=features, positive=1, least=1, least_of=1, replicates=100)
    for f, feature in enumerate(features):
        kept = frame[frame[feature] != ""]
        at = found.groups_of(feature)
        theirs = fairlearn.MetricFrame(
            metrics=FAIRLEARN, y_true=kept.y, y_pred=kept.label, sensitive_features=kept[feature]
        )
        table = theirs.by_group.loc[found.group[at], names].to_numpy(float).T
        yield "fairlearn", "MetricFrame", found.value[:, at], table
        asked = {"y_true": kept.y, "y_pred": kept.label, "sensitive_features": kept[feature]}
        rate, tpr, fpr = (names.index(f"{n}_rate") for n in ("selection", "true_positive", "false_positive"))
        if not np.isnan(found.value[[rate, tpr, fpr]][:, at]).any():
            ends = found.value[:, at].min(1) / found.value[:, at].max(1)
            apart = np.ptp(found.value[:, at], axis=1)
            yield (
                "fairlearn",
                "demographic_parity_difference",
                apart[rate],
                fairlearn.demographic_parity_difference(**asked),
            )
            yield "fairlearn", "demographic_parity_ratio", ends[rate], fairlearn.demographic_parity_ratio(**asked)
            both = max(apart[tpr], apart[fpr]), min(ends[tpr], ends[fpr])
            yield "fairlearn", "equalized_odds_difference", both[0], fairlearn.equalized_odds_difference(**asked)
            yield "fairlearn", "equalized_odds_ratio", both[1], fairlearn.equalized_odds_ratio(**asked)
            yield "fairlearn", "differences as recorded", found.difference[:, f], apart


class Given(ClassifierMixin, BaseEstimator):
    """An estimator whose answers are there already: the scores are its inputs."""

    def fit(self, x: Any, y: Any) -> Given:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, x: Any) -> np.ndarray:
        return np.asarray(x)


def mitigations_beside_fairlearn(who: People) -> Iterator[Row]:
    offered = who.offered()
    x, group = offered["x"], offered["group"]
    theirs = CorrelationRemover(sensitive_feature_ids=[x.shape[1]]).fit_transform(np.column_stack([x, group]))
    yield "fairlearn", "CorrelationRemover", given_to_the_learner("correlation_removal", offered)["x"], theirs


def searches_beside_fairlearn(who: People) -> Iterator[Reached]:
    """Rules on the people fitted on: fairlearn's draw lots, labkit's group_thresholds does not."""
    offered = who.offered()
    y, group, score = (offered[k] for k in ("y", "group", "score"))
    for constraint, name, criterion in (
        ("equalized_odds", "equalized_odds_postprocessing", "equalized_odds"),
        ("demographic_parity", "group_thresholds", "selection_rate"),
    ):
        made = ThresholdOptimizer(
            estimator=Given(), constraints=constraint, prefit=True, predict_method="predict_proba", grid_size=10_000
        ).fit(score, y, sensitive_features=group)
        theirs = made._pmf_predict(score, sensitive_features=group)[:, 1]
        ours = np.asarray(rule(name, {**offered, "criterion": criterion})(score, group))[:, 1]
        yield f"labkit, {name}", *reached(ours, y, group, constraint)
        yield f"fairlearn, ThresholdOptimizer of {constraint}", *reached(theirs, y, group, constraint)


def reached(
    chance: np.ndarray, y: np.ndarray, group: np.ndarray, constraint: str = "demographic_parity"
) -> tuple[float, float, float]:
    """Accuracy, balanced accuracy, and the largest difference left, of (n,) chances of the positive answer."""
    right = np.where(y == 1, chance, 1 - chance)
    among = [y == 1, y == 0] if constraint == "equalized_odds" else [y >= 0]
    left = max(float(np.ptp([chance[a & (group == g)].mean() for g in (0, 1)])) for a in among)
    return float(right.mean()), float(np.mean([right[y == c].mean() for c in (0, 1)])), left


def beside_aif360(who: People) -> Iterator[Row]:
    kept = np.flatnonzero(grouping("agreement", who.p, "sex").code >= 0)
    offered = who.offered()
    yield from _aif360.metrics(who.p, offered)
    few = kept[:NEIGHBOURS]
    p, inputs = who.p, who.split[few]
    groups = {name: values[few] for name, values in p.groups.items()}
    some = replace(p, y=p.y[few], label=p.label[few], proba=p.proba[few], groups=groups, row=None)
    found = lk.individual_fairness(
        some, inputs, by=["sex"], positive=1, with_self=True, rows=NEIGHBOURS, replicates=100
    )
    space = People(who.name, some, inputs).offered()
    yield "AIF360", "consistency, in labkit's space", found.consistency, _aif360.consistency(space, some.label)
    weight = given_to_the_learner("reweighing", offered)["weight"]
    yield "AIF360", "Reweighing", weight, _aif360.reweighing(offered)
    for criterion, constraint in _aif360.COSTS.items():
        answer = rule("calibrated_equalized_odds", {**offered, "criterion": criterion})
        ours = np.asarray(answer(offered["score"], offered["group"]))[:, 1]
        yield "AIF360", f"CalibratedEqOdds, {constraint}", ours, _aif360.calibrated(offered, constraint)
    chance = np.asarray(
        rule("reject_option", {**offered, "criterion": "selection_rate"})(offered["score"], offered["group"])
    )[:, 1]
    yield "AIF360", "RejectOption, same region", chance, _aif360.in_region(offered, chance)


def beside_aequitas(who: People) -> Iterator[Row]:
    group = import_module("aequitas.group").Group()
    frame = who.frame.rename(columns={"label": "score_", "y": "label_value"}).drop(columns="score")
    # it knows text as objects only, not as pandas 3 has it
    frame = frame.rename(columns={"score_": "score"}).astype(dict.fromkeys(who.p.groups, object))
    names = [n for n in AEQUITAS if n != "base_rate"]
    found = lk.audit_groups(who.p, names, by=list(who.p.groups), positive=1, least=1, least_of=1, replicates=100)
    table, _ = group.get_crosstabs(frame, attr_cols=list(who.p.groups))
    for feature in who.p.groups:
        at = found.groups_of(feature)
        theirs = table[table.attribute_name == feature].set_index("attribute_value").loc[found.group[at]]
        for m, name in enumerate(names):
            yield "Aequitas", "crosstabs", found.value[m, at], theirs[AEQUITAS[name]].to_numpy(float)
        yield "Aequitas", "crosstabs", found.base_rate[at], theirs["prev"].to_numpy(float)


def sides() -> list[Callable[[People], Iterator[Row]]]:
    """What can be compared here; what cannot is said."""
    chosen: list[Callable[[People], Iterator[Row]]] = [beside_fairlearn, mitigations_beside_fairlearn]
    for package, module, side in (
        ("aif360==0.6.1", "aif360.metrics", beside_aif360),
        ("aequitas==1.1.0 seaborn altair markdown2 narwhals", "aequitas.group", beside_aequitas),
    ):
        try:
            import_module(module)
        except ImportError as error:
            print(f"left out: {module.split('.')[0]} ({error}); pip install --no-deps {package}")
        else:
            chosen.append(side)
    return chosen


def main() -> None:
    """Print a row for each peer and quantity: the largest absolute difference on each data set."""
    logging.disable(logging.WARNING)  # AIF360 names each of its optional parts that is missing
    warnings.simplefilter("ignore")
    compared = sides()
    rows: dict[tuple[str, str], dict[str, float]] = {}
    undefined: dict[str, int] = {}
    for who in people():
        for side in compared:
            for peer, what, ours, theirs in side(who):
                ours, theirs = (np.asarray(v, float) for v in (ours, theirs))
                undefined[peer] = undefined.get(peer, 0) + int((np.isnan(ours) & ~np.isnan(theirs)).sum())
                known = ~np.isnan(ours) & ~np.isnan(theirs)
                apart = float(np.abs(ours - theirs)[known].max(initial=0))
                cell = rows.setdefault((peer, what), {})
                cell[who.name] = max(cell.get(who.name, 0.0), apart)
    print(f"| peer | what | {' | '.join(MODELS)} |")
    print("| --- | --- |" + " --- |" * len(MODELS))
    for (peer, what), cell in rows.items():
        print(f"| {peer} | {what} | " + " | ".join(f"{cell[n]:.1e}" if n in cell else "-" for n in MODELS) + " |")
    for peer, count in undefined.items():
        print(f"{peer}: {count} rates of nobody that labkit leaves unmeasured and {peer} gives as a number")
    print("\n| people | search | accuracy | balanced accuracy | left apart |")
    print("| --- | --- | --- | --- | --- |")
    for who in people():
        found = list(searches_beside_fairlearn(who))
        if beside_aif360 in compared:
            found += _aif360.searches(who.offered(), rule, reached)
        for whose, *values in found:
            print(f"| {who.name} | {whose} | " + " | ".join(f"{v:.4f}" for v in values) + " |")


if __name__ == "__main__":
    main()
