"""Did the attack give back the best that it found?"""

from __future__ import annotations

from labkit.records.attack import Adversarial
from labkit.records.finding import Finding
from labkit.records.robustness_curve import RobustnessCurve


def best_iterate_kept(record: Adversarial | RobustnessCurve) -> Finding:
    """Whether an attack threw successes away that it had met on its way (Pintor et al., 2022, arXiv 2106.09947).

    They are counted all the same; the attack itself is weaker than it looks, and elsewhere nobody watches it.
    """
    if isinstance(record, Adversarial):
        each = {record.attack: record.thrown_away}
    else:
        each = dict(zip(record.attacks, record.thrown_away.tolist()))
    lost = {name: count for name, count in each.items() if count}
    text = ", ".join(f"{name} on {count} rows" for name, count in lost.items())
    return Finding(
        check="best_iterate_kept",
        status="info" if lost else "meets",
        says=f"{text} met successes on the way and gave other points back; they are counted as successes here."
        if lost
        else "No attack threw a success away.",
        estimate=float(sum(lost.values())),
        n=len(record),
        criterion="no success is thrown away",
    )
