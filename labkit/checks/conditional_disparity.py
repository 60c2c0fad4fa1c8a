from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from labkit.core.method import Range
from labkit.core.words import number, p_value, spoken
from labkit.records.conditional_parity import ConditionalParity
from labkit.records.finding import Finding, FindingStatus


def conditional_disparity(
    record: ConditionalParity,
    *,
    tolerance: Annotated[float, Range(0, 1), "the largest adjusted difference that is acceptable"] = 0.1,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p over all groups, beyond chance"] = 0.05,
) -> Iterable[Finding]:
    """Whether each group's difference to the reference is within the tolerance among people alike in the factors.

    It does not meet the criterion when it is beyond chance over all groups and its interval lies outside the tolerance,
    and meets it when the interval lies inside; else it is inconclusive. It is inconclusive too where strata differ: a
    common difference may then hide opposite ones.
    """
    given = " and ".join(record.given)
    for g, group in enumerate(record.group):
        if g == record.reference:
            continue
        subject = f"{spoken(record.metric)} of {group} given {given}"
        about: dict[str, Any] = dict(
            check="conditional_disparity", subject=subject, n=int(record.of[[g, record.reference]].sum())
        )
        about |= dict(
            criterion=f"adjusted difference at most {tolerance:g}", thresholds=dict(tolerance=tolerance, alpha=alpha)
        )
        if not record.p_family[g] >= 0:
            says = f"{group} ({record.of[g]:.0f} people) is too small, or in no stratum with {record.group[record.reference]}."
            yield Finding(status="not_measured", says=says, **about)
            continue
        value, low, high = (float(a[g]) for a in (record.adjusted, record.adjusted_low, record.adjusted_high))
        beyond, apart = record.p_family[g] < alpha, record.p_homogeneity[g] < alpha
        status: FindingStatus = "inconclusive"
        if beyond and min(abs(low), abs(high)) > tolerance and low * high > 0:
            status = "does_not_meet"
        elif max(-low, high) <= tolerance and not apart:
            status = "meets"
        says = (
            f"{subject}: {number(value, low, high)} from {record.group[record.reference]}, {number(record.crude[g])} without "
            f"the factors; equal groups exceed {record.null95[g]:.2g} one time in 20 ({p_value(record.p_family[g])})."
        )
        if apart:
            says += f" Strata differ ({p_value(record.p_homogeneity[g])}), so that one number does not say it."
        if record.left_out[g]:
            says += f" {record.left_out[g]:.0f} people are in strata without overlap."
        if record.association > record.association95:
            says += (
                f" The factors tell of {record.feature} (Cramer's V {record.association:.2f}) and may carry the bias."
            )
        yield Finding(status=status, says=says, estimate=value, low=low, high=high, **about)
