"""Does the model answer at random?"""

from __future__ import annotations

from labkit.core.intervals import clopper_pearson
from labkit.records.finding import Finding
from labkit.records.robustness_curve import RobustnessCurve


def random_answers(record: RobustnessCurve) -> Finding:
    """How many of the rows that a randomised model lost it gets right when it is asked once more.

    Such a model is attacked through the mean of its answers (Athalye et al., 2018, arXiv 1802.00420); rows that luck had
    broken count as standing.
    """
    criterion = "the model answers alike when asked again"
    if record.asks == 1:
        says = "The model answers alike when asked again."
        return Finding(check="random_answers", status="meets", says=says, criterion=criterion)
    n, back = record.asked_again, record.came_back
    low, high = (float(v) for v in clopper_pearson(back, n)) if n else (None, None)
    says = (
        f"The model answers at random: each answer is the mean of {record.asks}, and gradients are means too. Of {n} rows "
        f"that it lost, {back} were right when asked once more; they count as standing."
    )
    return Finding(
        check="random_answers",
        status="info",
        says=says,
        estimate=back / n if n else None,
        low=low,
        high=high,
        n=n or None,
        criterion=criterion,
    )
