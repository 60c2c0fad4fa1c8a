"""What a check says of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labkit.core.record import freeze

FindingStatus = Literal["meets", "does_not_meet", "inconclusive", "not_measured", "not_applicable", "info"]
SHAPES = {
    "meets": "●",
    "does_not_meet": "■",
    "inconclusive": "◆",
    "not_measured": "○",
    "not_applicable": "–",
    "info": "ℹ",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence about one record, with what it rests on.

    Attributes:
        check: the check's name.
        status: whether the criterion was met, was not, cannot be told, was not measured, or does not apply.
        says: one plain sentence with the numbers.
        estimate, low, high: the estimate and its 95 % interval, where there is one.
        n: how many examples it rests on.
        criterion: what was asked, in words.
        subject: the part of the record it speaks of (a group attribute, a metric), if not all of it.
        thresholds: the thresholds that were used.
    """

    check: str
    status: FindingStatus
    says: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    criterion: str = ""
    subject: str = ""
    thresholds: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        freeze(self)
        if self.status not in SHAPES:
            raise TypeError(f"a finding cannot be {self.status!r}")

    def __str__(self) -> str:
        return f"{SHAPES[self.status]} {self.check}: {self.says}"
