from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import counted, number, p_value, share
from labkit.records.finding import Finding, FindingStatus
from labkit.records.flip_test import FlipTest


def unmoved_by_group(
    record: FlipTest,
    *,
    most: Annotated[float, Range(0, 1), "the share of answers that may change"] = 0.01,
    tilt: Annotated[float, Range(0, 1), "how far a probability may move one way on average"] = 0.02,
) -> Iterator[Finding]:
    """Whether answers stay when a protected attribute alone is exchanged, and whether probabilities lean one way.

    People: judged by the interval of the share of answers that change. Words: a model reads every word, so that answers must
    change more than under neutral words in the same texts, and lean further than pairs of neutral words do, to be held
    against it.
    """
    people = record.inputs == "people"
    low, high = record.moved_low, record.moved_high
    status: FindingStatus = "meets" if high <= most else "inconclusive"
    if low > most and (people or record.excess_low > 0):
        status = "does_not_meet"
    says = f"The answer changes for {share(record.moved, low, high)} of {record.n:,} {record.inputs}"
    if np.isfinite(record.excess):
        says += f"; other exchanges in the same inputs change {_than(record)} of all"
    yield Finding(
        check="unmoved_by_group",
        status=status,
        says=f"{says}.",
        estimate=record.moved,
        low=low,
        high=high,
        n=record.n,
        criterion=f"at most {most:g} of the answers change" + ("" if people else ", or no more than for neutral words"),
        subject=record.attribute,
        thresholds={"most": most, "tilt": tilt},
    )
    yield _leaning(record, tilt, {"most": most, "tilt": tilt})


def _than(record: FlipTest) -> str:
    """How the share that other exchanges change compares: "0.075 (0.072 to 0.078) more"."""
    if record.excess > 0:
        return f"{number(record.excess, record.excess_low, record.excess_high, digits=3)} less"
    return f"{number(-record.excess, -record.excess_high, -record.excess_low, digits=3)} more"


def _leaning(record: FlipTest, tilt: float, thresholds: dict[str, float]) -> Finding:
    """Whether the probability moves one way on average: the direction in which that is surest decides."""
    far = np.maximum(record.shift_low, -record.shift_high) > tilt
    beyond = np.ones(len(far), bool) if record.inputs == "people" else record.shift_holm < 0.05
    near = np.maximum(-record.shift_low, record.shift_high) <= tilt
    far &= beyond & record.ranked
    d = int(np.where(far, np.abs(record.shift), -1).argmax()) if far.any() else record.widest
    status: FindingStatus = "does_not_meet" if far.any() else "meets" if near[record.ranked].all() else "inconclusive"
    change = number(record.shift[d], record.shift_low[d], record.shift_high[d], digits=3)
    chance = ""
    if np.isfinite(record.shift_holm[d]):
        chance = (
            f"; pairs of neutral words stay within {record.shift_null95[d]:.3f} ({p_value(record.shift_holm[d])}, Holm)"
        )
    elif record.inputs != "people":
        chance = "; too few neutral words to compare with"
    way = counted(int(record.promoted[d]), int(record.changed[d]), what="answers that change")
    return Finding(
        check="unmoved_by_group",
        status=status,
        says=f"From {record.source[d]} to {record.target[d]} the probability of {record.positive} moves by {change} on "
        f"average, {way} promoted{chance}.",
        estimate=float(record.shift[d]),
        low=float(record.shift_low[d]),
        high=float(record.shift_high[d]),
        n=int(record.rows[d]),
        criterion=f"at most {tilt:g} one way on average",
        subject=f"{record.attribute}, {record.source[d]} to {record.target[d]}",
        thresholds=thresholds,
    )
