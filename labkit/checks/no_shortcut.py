from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, share
from labkit.records.finding import Finding, FindingStatus
from labkit.records.shortcuts import Shortcuts


def no_shortcut(
    record: Shortcuts,
    *,
    follow: Annotated[float, Range(0, 1), "the share of answers that may turn to what an exchanged cue says"] = 0.5,
    gap: Annotated[float, Range(0, 1), "how much less right a model may be where the cue disagrees"] = 0.25,
    excess: Annotated[float, Range(0, 1), "how much more probabilities may go with a cue than labels do"] = 0.1,
    alone: Annotated[float, Range(0, 1), "how much of what the model has a single cue may have"] = 0.9,
    alpha: Annotated[
        float, Range(0.0001, 0.2, log=True), "p, corrected for all that is compared, beyond chance"
    ] = 0.01,
) -> Iterable[Finding]:
    """Whether answers hang on a cue that need not go with the label. Of cues that go with it in training beyond chance:

    A cue that a model has no right to (a patch, brightness, a fact that is no part of the input) does not meet it when answers
    turn to it, by the interval's lower end, or when the model is less right where the cue disagrees and probabilities go
    with it more than labels do; a column or a word, when answers turn to it and probabilities go with it more than labels
    do. Where a cue by itself has most of what the model has, it is inconclusive.
    """
    about = {"follow": follow, "gap": gap, "excess": excess, "alone": alone, "alpha": alpha}
    criterion = f"at most {follow:g} of the answers turn to one cheap cue"
    known = record.p < alpha
    turned, more = record.follow_low > follow, record.excess_low > excess
    missed = more & (record.gap_low > gap)
    found = known & np.where(record.column, turned & more, turned | missed)
    unclear = known & ~found & (record.share_low > alone)
    for i in np.flatnonzero(found | unclear).tolist():
        status: FindingStatus = "does_not_meet" if found[i] else "inconclusive"
        yield Finding(check="no_shortcut", status=status, criterion=criterion, thresholds=about, **_told(record, i))
    if not (found | unclear).any():
        i = int(np.nan_to_num(record.follow_low, nan=-1.0).argmax())
        told = _told(record, i)
        told |= {
            "says": f"Of {len(record.cues)} cheap cues none is a shortcut. {told['says']}",
            "subject": "cheap cues",
        }
        yield Finding(check="no_shortcut", status="meets", criterion=criterion, thresholds=about, **told)


def _told(record: Shortcuts, i: int) -> dict[str, Any]:
    parts = [
        f"{record.cues[i]} by itself is right on {share(record.alone[i], record.alone_low[i], record.alone_high[i])} test "
        f"rows, the model on {share(*record.accuracy)}: {number(record.right[i])} where it agrees with the label and "
        f"{number(record.wrong[i])} where not"
    ]
    ends = (float(record.follow[i]), float(record.follow_low[i]), float(record.follow_high[i]))
    if not np.isnan(ends[0]):
        name = record.classes[record.follow_class[i]]
        parts.append(
            f"taken from rows that say {name}, it turns {share(*ends)} more answers to that than other ones do"
        )
    parts.append(
        f"probabilities go with it by {number(record.excess[i], record.excess_low[i], record.excess_high[i])} more than "
        "labels do"
    )
    known = [None if np.isnan(v) else v for v in ends]
    return {
        "says": "; ".join(parts) + ".",
        "estimate": known[0],
        "low": known[1],
        "high": known[2],
        "n": record.n_exchanged,
        "subject": record.cues[i],
    }
