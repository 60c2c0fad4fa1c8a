from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.finding import Finding, FindingStatus
from labkit.records.random_labels import RandomLabels


def permuted_labels_at_chance(
    record: RandomLabels,
    *,
    alpha: Annotated[float, Range(1e-4, 0.1, log=True), "chance of an accusation without cause"] = 0.01,
    margin: Annotated[float, Range(0, 0.5), "how far above chance the mean may still lie where nothing is shown"] = 0.1,
) -> Finding:
    """Whether the procedure scores at chance on permuted labels: above it, labels of test rows reach what is scored, as when
    columns are chosen, or rows copied, before the data are cut."""
    says = (
        f"On labels that mean nothing {record.learner} scores {number(record.mean, record.low, record.high, digits=3)} on "
        f"average over {len(record.score)} permutations where chance is {number(record.chance, digits=3)} "
        f"({p_value(record.p)})."
    )
    if record.p < alpha:
        status: FindingStatus = "does_not_meet"
        says += " Labels of test rows reach what is scored: leakage."
    elif record.high > record.chance + margin:
        status = "inconclusive"
        says += " More permutations would tell."
    else:
        status = "meets"
    return Finding(
        check="permuted_labels_at_chance",
        status=status,
        says=says,
        estimate=record.mean,
        low=record.low,
        high=record.high,
        n=record.n or record.rows,
        criterion=f"chance, {number(record.chance, digits=3)}: p at least {alpha:g}",
        thresholds={"alpha": alpha, "margin": margin},
    )
