"""Does the model still answer?"""

from __future__ import annotations

from labkit.records.finding import Finding
from labkit.records.robustness_curve import RobustnessCurve


def finite_under_attack(record: RobustnessCurve) -> Finding:
    """Whether every answer to a perturbed row was finite. NaN is a fault of the model and counts as no success."""
    lost = {name: int(count) for name, count in zip(record.attacks, record.nonfinite) if count}
    each = ", ".join(f"{count} from {name}" for name, count in lost.items())
    return Finding(
        check="finite_under_attack",
        status="does_not_meet" if lost else "meets",
        says=f"The model's answers to {sum(lost.values())} perturbed rows are NaN or infinite ({each}); they count as no "
        "success, and what the model would do there is unknown."
        if lost
        else "Every answer to a perturbed row was finite.",
        estimate=float(sum(lost.values())),
        n=len(record),
        criterion="no answer is NaN or infinite",
    )
