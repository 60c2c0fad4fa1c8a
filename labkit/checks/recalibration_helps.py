from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.core.words import number, p_value
from labkit.records.finding import Finding
from labkit.records.recalibrate import Recalibrate


def recalibration_helps(
    record: Recalibrate,
    *,
    alpha: Annotated[float, Range(0.0001, 0.2, log=True), "p below which an error is more than chance"] = 0.005,
) -> Finding:
    """What recalibration would gain, for information: the change of the log loss under the method that was chosen without
    the rows it is stated on, and whether what it gives is calibrated. The interval of the change decides what is said."""
    low, high = float(record.log_loss_change_low[-1]), float(record.log_loss_change_high[-1])
    change = number(float(record.log_loss_change[-1]), low, high, digits=3)
    told = "lowers" if high < 0 else "raises" if low > 0 else "is not shown to change"
    after = "still beyond" if record.p[-1] < alpha else "within"
    says = (
        f"recalibration by {', '.join(dict.fromkeys(record.choices))} {told} the log loss: {change} on {record.n} rows that it was not "
        f"fitted on. The calibration error goes from {number(float(record.ece[0]), digits=3)} to "
        f"{number(float(record.ece[-1]), digits=3)}, {after} what a calibrated model shows ({number(float(record.ece95[-1]), digits=3)} one time in 20; "
        f"{p_value(float(record.p[-1]))}); {int(record.changed[-1])} answers change, the accuracy by "
        f"{number(float(record.accuracy_change[-1]), float(record.accuracy_change_low[-1]), float(record.accuracy_change_high[-1]), digits=3)}."
    )
    return Finding(
        check="recalibration_helps",
        status="info",
        says=says,
        estimate=float(record.log_loss_change[-1]),
        low=low,
        high=high,
        n=record.n,
        criterion="for information",
        subject=record.event,
        thresholds={"alpha": alpha},
    )
