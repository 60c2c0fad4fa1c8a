"""Does any attack break what was certified?"""

from __future__ import annotations

from labkit.records.finding import Finding
from labkit.records.sandwich import Sandwich


def certificate_holds(record: Sandwich) -> Finding:
    """Whether every row that an attack broke was broken beyond its certified radius.

    A single violation shows that a certificate is no proof, or that an attack left its budget.
    """
    tested = record.correct & (record.best > 0)
    n, broken = int(tested.sum()), int(record.violated.any(0).sum())
    criterion = "no attack breaks a row within its certified radius"
    if not n:
        says = "No row is certified, so there is nothing that an attack could contradict."
        return Finding(check="certificate_holds", status="not_applicable", says=says, criterion=criterion)
    if broken:
        says = f"{broken} of {n} certified rows were broken within their radius: certificate or attack is wrong."
        return Finding(
            check="certificate_holds", status="does_not_meet", says=says, estimate=broken / n, n=n, criterion=criterion
        )
    reached = int((tested & (record.best >= record.eps[record.eps > 0].min(initial=float("inf")))).sum())
    says = (
        f"None of {n} certified rows was broken within its radius by {', '.join(record.attacks)}; {reached} of them were "
        "attacked at a budget that is certified."
    )
    if not reached:
        says += " So no attack could have contradicted a certificate."
        return Finding(check="certificate_holds", status="inconclusive", says=says, n=n, criterion=criterion)
    return Finding(check="certificate_holds", status="meets", says=says, estimate=0.0, n=n, criterion=criterion)
