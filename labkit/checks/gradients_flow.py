from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.records.finding import Finding, FindingStatus
from labkit.records.gradient_flow import GradientFlow


def gradients_flow(
    record: GradientFlow,
    *,
    least: Annotated[
        float, Range(1e-12, 1, log=True), "share of the gradient that must arrive: less has vanished"
    ] = 1e-3,
    most: Annotated[float, Range(1, 1e12, log=True), "times the gradient that may arrive: more has exploded"] = 1e3,
    dead: Annotated[float, Range(0, 1), "share of a layer's units that may get no gradient"] = 0.9,
) -> Iterator[Finding]:
    """Whether the gradient at the first layer, and at the first step, is within so many times that at the last; and
    whether a layer's units get any.

    Judged by the ends of the interval of the median over examples. What is found with fresh weights too comes with the
    architecture or its initialisation, and not with training.
    """
    limits = {"least": least, "most": most, "dead": dead}
    depth = "first layer", f"{len(record.layers)} layers", record.reach, record.per_layer[0], record.control_reach
    time = "first step", "its steps", record.time_reach, record.per_step[0], record.control_time_reach
    for subject, (first, among, reach, each, fresh) in (("depth", depth), ("time", time)):
        value, low, high = reach
        if np.isnan(value):
            continue
        status: FindingStatus = "inconclusive"
        told = "which may be too little or too much"
        if high < least:
            status, told = "does_not_meet", "the gradient vanishes"
        elif low > most:
            status, told = "does_not_meet", "the gradient explodes"
        elif low >= least and high <= most:
            status, told = "meets", "within the limits"
        says = f"the {first} gets {value:.2g} ({low:.2g} to {high:.2g}) times the gradient of the last of {among}, "
        says += f"{each:.3g} from one to the next: {told}"
        says += "." if np.isnan(fresh[0]) else f"; with fresh weights {fresh[0]:.2g} times."
        yield Finding(
            check="gradients_flow",
            status=status,
            says=says,
            estimate=value,
            low=low,
            high=high,
            n=record.n - record.settled,
            criterion=f"from {least:g} to {most:g} times the gradient of the last",
            subject=subject,
            thresholds=limits,
        )
    share = record.dead / record.units
    worst = int(share.argmax())
    yield Finding(
        check="gradients_flow",
        status="does_not_meet" if share[worst] > dead else "meets",
        says=f"at most {record.dead[worst]} of a layer's {record.units[worst]} units get no gradient from any of "
        f"{record.n - record.settled} examples ({record.layers[worst] or 'the only layer'}).",
        estimate=float(share[worst]),
        n=record.n - record.settled,
        criterion=f"at most {dead:g} of a layer's units without any gradient",
        subject="dead units",
        thresholds=limits,
    )
