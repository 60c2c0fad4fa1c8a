"""Had the attack come to an end?"""

from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.records.finding import Finding, FindingStatus
from labkit.records.robustness_curve import RobustnessCurve


def attack_converged(
    record: RobustnessCurve,
    *,
    tolerance: Annotated[float, Range(0, 1), "share of rows that more steps may break"] = 0.02,
) -> Finding:
    """Whether twice the steps, and 40 at least, break more of a sample of rows (Carlini et al., 2019, arXiv 1902.06705)."""
    n, more = record.longer_rows, record.longer_more
    if not n:
        status: FindingStatus = "not_applicable"
        says = "No attack has a number of steps that could be raised."
    else:
        share = more / n
        status = "does_not_meet" if share > tolerance else "meets"
        says = (
            f"With {record.longer_steps} steps {record.longer} broke {more} more of {n} rows at eps {record.longer_eps:g}, "
            f"where it had broken {record.longer_before}."
        )
        if status == "does_not_meet":
            says += " It had not converged: give it more steps."
        elif " steps broke " in record.escalated:
            status = "info"
            says += f" Those asked for had not converged ({record.escalated}), and this one ran in their place."
    return Finding(
        check="attack_converged",
        status=status,
        says=says,
        estimate=more / n if n else None,
        n=n or None,
        criterion=f"more steps break at most {tolerance:.0%} more rows",
        thresholds={"tolerance": tolerance},
    )
