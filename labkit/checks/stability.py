"""Does the ranking repeat itself with other draws, and with another baseline?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from labkit.checks._examples import share
from labkit.core.method import Range
from labkit.records.explain import Explanation, Score
from labkit.records.finding import Finding


def stability(
    record: Explanation,
    *,
    threshold: Annotated[float, Range(0, 1), "correlation from which two rankings are one"] = 0.8,
) -> Iterator[Finding]:
    """Spearman's correlation, with signs and on the input's support, between the attribution and the same method's with
    another seed, which must be one ranking on most examples; and with other baselines, which is said without a verdict,
    since neither baseline is the right one (Sturmfels, Lundberg and Lee, 2020, doi 10.23915/distill.00022)."""
    for name, subject in (("seed_stability", "seed"), ("baseline_stability", "baseline")):
        score = record.scores.get(name)
        if score is not None:
            yield _finding(record, score, subject, threshold)


def _finding(record: Explanation, score: Score, subject: str, threshold: float) -> Finding:
    criterion = f"correlation at least {threshold:g} on most examples" if subject == "seed" else ""
    known = score.values[np.isfinite(score.values)]
    if score.not_applicable or not len(known):
        says = f"Not applicable: {score.not_applicable or 'maps that are constant'}."
        return Finding(check="stability", status="not_applicable", says=says, subject=subject, criterion=criterion)
    above, middle = share(known >= threshold), float(np.median(known))
    says = f"With another {subject}, {record.method} ranks with a median correlation of {middle:.2f}; {threshold:g} or more on {above}."
    side = "meets" if above.side() == "most" else "does_not_meet" if above.surely_few() else "inconclusive"
    if subject == "baseline":
        each = ", ".join(f"{name} {np.nanmedian(values):.2f}" for name, values in score.more.items())
        says = f"{says} ({each})" if len(score.more) > 1 else says
    elif side == "does_not_meet":
        says += " The ranking is noise: it takes more samples."
    return Finding(
        check="stability",
        status=side if subject == "seed" else "info",  # type: ignore[arg-type]
        says=says,
        estimate=middle,
        n=len(known),
        criterion=criterion,
        subject=subject,
        thresholds={"threshold": threshold},
    )
