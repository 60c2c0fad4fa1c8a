from __future__ import annotations

from labkit.core.words import number
from labkit.records.finding import Finding
from labkit.records.learning_curve import LearningCurve


def more_data_would_help(record: LearningCurve) -> Finding:
    """By how much twice the training rows would lower the test error, by the power law, where it may be read so far. For
    information."""
    name = "more_data_would_help"
    if record.along != "examples":
        says = f"A curve along {record.along} says nothing of more rows."
        return Finding(check=name, status="not_applicable", says=says)
    now = number(float(record.test[-1].mean()), float(record.test_low[-1]), float(record.test_high[-1]), digits=3)
    if not record.told or record.law is None:
        says = f"What more rows would do is not measured because {record.untold}. Now {now}, {record.point[-1]:,} rows."
        return Finding(check=name, status="not_measured", says=says, n=record.n)
    by, low, high = record.law.doubled
    shown = "would lower" if low > 0 else "may or may not lower"
    says = f"Twice the {record.point[-1]:,} rows {shown} the test error of {now} by {number(by, low, high, digits=3)}."
    return Finding(check=name, status="info", says=says, estimate=by, low=low, high=high, n=record.n)
