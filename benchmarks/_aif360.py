"""AIF360's side of the agreement: its data sets, metrics and mitigations for two groups, 0 below and 1 privileged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

import labkit as lk

BELOW, ABOVE = [{"sex": 0.0}], [{"sex": 1.0}]
GROUPS = {"unprivileged_groups": BELOW, "privileged_groups": ABOVE}
FLIPPED = {"unprivileged_groups": ABOVE, "privileged_groups": BELOW}
# its name for what a criterion of calibrated_equalized_odds weighs
COSTS = {"true_positive_rate": "fnr", "false_positive_rate": "fpr", "equalized_odds": "weighted"}
METRICS = {
    "selection_rate": "selection_rate",
    "true_positive_rate": "true_positive_rate",
    "false_positive_rate": "false_positive_rate",
    "false_negative_rate": "false_negative_rate",
    "true_negative_rate": "true_negative_rate",
    "precision": "positive_predictive_value",
    "negative_predictive_value": "negative_predictive_value",
    "false_discovery_rate": "false_discovery_rate",
    "false_omission_rate": "false_omission_rate",
    "accuracy": "accuracy",
}
DIFFERENCES = {
    "selection_rate": "statistical_parity_difference",
    "true_positive_rate": "equal_opportunity_difference",
    "false_positive_rate": "false_positive_rate_difference",
    "false_negative_rate": "false_negative_rate_difference",
    "false_discovery_rate": "false_discovery_rate_difference",
    "false_omission_rate": "false_omission_rate_difference",
}
RATIOS = {
    "selection_rate": "disparate_impact",
    "false_positive_rate": "false_positive_rate_ratio",
    "false_negative_rate": "false_negative_rate_ratio",
    "false_discovery_rate": "false_discovery_rate_ratio",
    "false_omission_rate": "false_omission_rate_ratio",
}


def _data(offered: dict[str, Any], label: np.ndarray | None = None) -> Any:
    """Its data set of everybody: the truth, or these answers with the model's scores."""
    from aif360.datasets import BinaryLabelDataset

    frame = pd.DataFrame({"sex": offered["group"].astype(float), "y": offered["y"].astype(float)})
    data = BinaryLabelDataset(
        df=frame, label_names=["y"], protected_attribute_names=["sex"], favorable_label=1.0, unfavorable_label=0.0
    )
    if label is not None:
        data = data.copy(deepcopy=True)
        data.labels = np.asarray(label, float)[:, None]
        data.scores = offered["score"][:, 1:2].copy()
    return data


def metrics(p: lk.Predictions, offered: dict[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    from aif360.metrics import ClassificationMetric

    it = ClassificationMetric(_data(offered), _data(offered, p.label), **GROUPS)
    names = list(METRICS)
    found = lk.audit_groups(p, names, by=["sex"], positive=1, least=1, least_of=1, replicates=100)
    value = np.column_stack([found.value, found.overall])
    theirs = np.array([[getattr(it, METRICS[n])(privileged=g) for g in (False, True, None)] for n in names])
    yield "AIF360", "ten rates, by group and of all", value, theirs
    yield "AIF360", "base_rate", found.base_rate, [it.base_rate(privileged=g) for g in (False, True)]
    of = dict(zip(names, value))
    signed = [of[n][0] - of[n][1] for n in DIFFERENCES]
    yield "AIF360", "six differences", signed, [getattr(it, m)() for m in DIFFERENCES.values()]
    yield "AIF360", "differences as recorded", found.difference[:, 0], np.abs(value[:, 0] - value[:, 1])
    yield "AIF360", "five ratios", [of[n][0] / of[n][1] for n in RATIOS], [getattr(it, m)() for m in RATIOS.values()]
    odds = np.array([signed[1], signed[2]])
    average = [it.average_odds_difference(), it.average_abs_odds_difference(), it.equalized_odds_difference()]
    yield "AIF360", "odds: mean, mean size, largest", [odds.mean(), np.abs(odds).mean(), np.abs(odds).max()], average
    alike = lk.individual_fairness(p, by=["sex"], positive=1, replicates=100)
    indices = [it.generalized_entropy_index(), it.theil_index()]
    yield "AIF360", "generalized_entropy_index, theil_index", alike.index, indices
    between = [it.between_group_generalized_entropy_index(), it.between_group_theil_index()]
    yield "AIF360", "the same between groups", alike.between[:, 0], between


def consistency(offered: dict[str, Any], label: np.ndarray) -> float:
    """With the inputs in which labkit compares people: left to itself it also reads the sensitive column, unscaled."""
    from aif360.metrics import BinaryLabelDatasetMetric

    data = _data(offered, label)
    data.features = offered["x"]
    return float(np.squeeze(BinaryLabelDatasetMetric(data, **GROUPS).consistency(n_neighbors=5)))


def reweighing(offered: dict[str, Any]) -> np.ndarray:
    from aif360.algorithms.preprocessing import Reweighing

    return Reweighing(**GROUPS).fit_transform(_data(offered)).instance_weights


def calibrated(offered: dict[str, Any], constraint: str) -> np.ndarray:
    """(n,) the chance of its positive answer, from its mixing rates: it draws them."""
    from aif360.algorithms.postprocessing import CalibratedEqOddsPostprocessing

    label, above = offered["score"][:, 1] > 0.5, offered["group"] == 1
    it = CalibratedEqOddsPostprocessing(**GROUPS, cost_constraint=constraint, seed=0)
    it.fit(_data(offered), _data(offered, label))
    mix = np.clip(np.where(above, it.priv_mix_rate, it.unpriv_mix_rate), 0, 1)
    base = np.where(above, it.base_rate_priv, it.base_rate_unpriv)
    return (1 - mix) * label + mix * (base >= 0.5)


def in_region(offered: dict[str, Any], chance: np.ndarray) -> np.ndarray:
    """(n,) its answers when it is told the region that labkit chose, and whom to favour."""
    from aif360.algorithms.postprocessing import RejectOptionClassification

    score, group = offered["score"][:, 1], offered["group"]
    plain = (score > 0.5).astype(float)
    turned = plain != chance
    if not turned.any():
        return plain
    favoured = np.unique(group[turned & (chance == 1)])
    it = RejectOptionClassification(**(FLIPPED if favoured.tolist() == [1] else GROUPS))
    it.classification_threshold, it.ROC_margin = 0.5, np.abs(score[turned] - 0.5).max() + 1e-12
    return it.predict(_data(offered, plain)).labels.ravel()


def searches(o: dict[str, Any], rule: Callable[..., Any], reached: Callable[..., Any]) -> Iterator[tuple[Any, ...]]:
    """Reject option: labkit looks for a region at the threshold in use, AIF360 over thresholds as well, within 0.01."""
    from aif360.algorithms.postprocessing import RejectOptionClassification

    score, y, group = o["score"], o["y"], o["group"]
    answer = rule("reject_option", {**o, "criterion": "selection_rate"})
    yield "labkit, reject_option", *reached(np.asarray(answer(score, group))[:, 1], y, group)
    rates = [(score[group == g, 1] > 0.5).mean() for g in (0, 1)]
    who = GROUPS if rates[0] < rates[1] else FLIPPED
    for title, options in (
        ("at 0.5", {"low_class_thresh": 0.5, "high_class_thresh": 0.5001, "num_class_thresh": 1}),
        ("any threshold", {"num_class_thresh": 30, "num_ROC_margin": 30}),
    ):
        it = RejectOptionClassification(**who, metric_ub=0.01, metric_lb=-0.01, **options)
        theirs = it.fit_predict(_data(o), _data(o, score[:, 1] > 0.5)).labels.ravel()
        yield f"AIF360, RejectOptionClassification, {title}", *reached(theirs, y, group)
