from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.core.words import number, p_value, spoken
from labkit.records.finding import Finding
from labkit.records.trade_offs import TradeOffs


def forced_trade_off(
    record: TradeOffs,
    *,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which base rates differ by more than chance"] = 0.05,
) -> Finding:
    """Whether unequal base rates force a choice between kinds of equality, and what the gentlest choice leaves.

    A choice is no fault, so that the finding informs; where base rates cannot be told apart it is inconclusive.
    """
    gap = number(record.base_difference, record.base_difference_low, record.base_difference_high)
    forced = record.base_p < alpha
    says = f"base rates by {record.feature} differ by {gap}; groups made at random exceed {record.base_null95:.2g} one time in 20 ({p_value(record.base_p)}). "
    if not forced:
        says += (
            "Nothing in these data forces a trade-off between equal rates, and equal base rates are not shown either."
        )
    else:
        worst = np.where(np.isnan(record.gap).any(1), np.inf, np.nanmax(record.gap, axis=1, initial=0))
        worst[~record.by_thresholds] = np.inf
        r = int(worst.argmin())
        if np.isfinite(worst[r]):
            m = int(record.gap[r].argmax())
            ends = number(record.gap[r, m], record.gap_low[r, m], record.gap_high[r, m])
            made = record.equal[r] if record.equal[r] == "one threshold" else f"equal {spoken(record.equal[r])}"
            says += f"Of the thresholds tried, {made} leaves the smallest largest gap: {ends} in {spoken(record.metrics[m])}."
        else:
            says += "One of precision, true and false positive rate must differ, whatever the thresholds."
    return Finding(
        check="forced_trade_off",
        status="info" if forced else "inconclusive",
        says=says,
        estimate=record.base_difference,
        low=record.base_difference_low,
        high=record.base_difference_high,
        n=int(record.n.sum()),
        subject=record.feature,
        thresholds={"alpha": alpha},
    )
