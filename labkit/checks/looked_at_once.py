from __future__ import annotations

from typing import Annotated, Any

from labkit.core.method import Range
from labkit.records.finding import Finding, FindingStatus
from labkit.records.generalization_gap import GeneralizationGap


def looked_at_once(
    gap: GeneralizationGap,
    *,
    some: Annotated[int, Range(1, 10_000, log=True), "different models from which on the test rows have chosen"] = 10,
) -> Finding:
    """Whether no other model was scored on these test rows before, by the ledger that was kept.

    One model meets the criterion, however often it was scored; more than ``some`` do not; between is inconclusive, and
    without a ledger nothing is known.
    """
    about: dict[str, Any] = {
        "criterion": "one model scored on these rows",
        "subject": "test rows",
        "thresholds": {"some": some},
    }
    if gap.looks < 0:
        says = "how many models were scored on these rows before is not known; labkit.ledger(path) keeps count."
        return Finding(check="looked_at_once", status="info", says=says, **about)
    status: FindingStatus = "meets"
    says = f"these {gap.n_test} rows were scored {gap.looks} times, by {gap.looked_models} different models."
    if gap.looked_models > 1:
        status = "does_not_meet" if gap.looked_models > some else "inconclusive"
        says += " If the best of them was chosen here, its value is too good: labkit.winners_curse, or fresh rows."
    return Finding(check="looked_at_once", status=status, says=says, estimate=gap.looked_models, n=gap.n_test, **about)
