from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import lead, number, spoken
from labkit.records.baselines import Baselines
from labkit.records.finding import Finding, FindingStatus


def beats_baselines(
    record: Baselines,
    *,
    margin: Annotated[float, Range(0, 1), "how much better than each baseline the model must be"] = 0.01,
) -> Finding:
    """Whether a model that cannot be read is better, by the margin at least, than every baseline that can: otherwise the
    baseline does its work and also says why (Rudin, 2019, arXiv 1811.10154).

    Judged by the interval of the paired difference to the baseline that the model is least ahead of. A model trained
    on more examples than the baselines had is not said to be better by this comparison alone.
    """
    name = spoken(record.metric)
    ahead, low, high = record.ahead
    if record.better == 0 or np.isnan(ahead).all():
        why = "is neither better high nor low" if record.better == 0 else "is undefined for every baseline"
        return Finding(check="beats_baselines", status="not_applicable", says=f"{name} {why}.", subject=name)
    at = record.hardest
    own = number(record.value, record.low, record.high, digits=3)
    other = number(record.score[at], record.score_low[at], record.score_high[at], digits=3)
    says = (
        f"{name} {own} on {record.n} rows; the {record.baselines[at]} ({record.about[at]}) has {other}: the model is "
        f"{lead(ahead[at], low[at], high[at])} on the same rows."
    )
    if record.readable:
        status: FindingStatus = "not_applicable"
        says += " The model can itself be read."
    elif high[at] <= margin:
        status = "does_not_meet"
    elif np.isnan(low[at]) or low[at] <= margin:
        status = "inconclusive"
    elif record.trained_on > record.fitted_on[at]:
        status = "inconclusive"
        says += (
            f" But it was trained on {record.trained_on} examples and the baseline on {record.fitted_on[at]}: "
            "how much of its lead is owed to them cannot be told."
        )
    else:
        status = "meets"
    return Finding(
        check="beats_baselines",
        status=status,
        says=says,
        estimate=float(ahead[at]),
        low=float(low[at]),
        high=float(high[at]),
        n=record.n,
        criterion=f"more than {margin:g} ahead of every baseline that can be read",
        subject=name,
        thresholds={"margin": margin},
    )
