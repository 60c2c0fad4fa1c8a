"""One answer as evidence: a JSON document that names what was tested, how, and what was found.

The documents hold no time of day and no duration, so two runs of one audit write the same bytes; the times stand in
``times.json``. ``evidence.schema.json`` beside this file is their JSON Schema.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.core.record import Provenance, Record
from labkit.records.finding import Finding

if TYPE_CHECKING:
    import pandas as pd

    from labkit.report.plan import Plan, Step

SCHEMA = "labkit.evidence/1"
LEVEL = 0.95
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Outcome:
    """What one step gave for one subject.

    Attributes:
        record: None when the step was refused, or is not about one record; ``reason`` then says why.
        findings: what the checks say of the record, by the plan's criteria.
        started, seconds: when it ran and for how long. took: what it cost (core.cost). Kept apart from the evidence.
    """

    subject: str
    step: Step
    record: Record | None = None
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    started: str = ""
    seconds: float = 0.0
    took: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.subject}/{self.step.id}"

    @property
    def status(self) -> str:
        """ "measured", "not_measured" or "contradicted"."""
        if self.record is not None:
            return self.record.status
        return "not_measured" if self.reason else "measured"

    @property
    def says(self) -> str:
        """One sentence: the record's, or why there is none."""
        if self.record is None:
            return f"Not measured because {self.reason}" if self.reason else self.step.question
        import labkit as lk

        return lk.says(self.record)


def evidence(
    plan: Plan, subject: Mapping[str, Any], outcome: Outcome, artifacts: Mapping[str, bytes]
) -> dict[str, Any]:
    """The document of one outcome. ``artifacts`` are the files that belong to it, by their path in the folder."""
    record = outcome.record
    made = record.provenance if record is not None else None
    return plain(
        {
            "schema": SCHEMA,
            "id": outcome.id,
            "section": outcome.step.section,
            "question": outcome.step.question,
            "test": {
                "name": outcome.step.analysis,
                "options": made.options if made else outcome.step.options,
                "split": outcome.step.split,
                "rows": outcome.step.rows,
                "seed": plan.seed,
            },
            "subject": subject,
            "plan": {"name": plan.name, "sha256": plan.sha256},
            "run": {
                "labkit": made.version if made else _version(),
                "settings": made.settings if made else {},
                "packages": made.packages if made else {},
            },
            "status": outcome.status,
            "reason": record.reason if record is not None else outcome.reason,
            "warnings": record.warnings if record is not None else [],
            "says": outcome.says,
            "findings": [_finding(plan, outcome, found) for found in outcome.findings],
            "record": {"kind": record.kind, "digest": record.digest} if record is not None else None,
            "artifacts": [{"path": p, "sha256": sha256(data)} for p, data in sorted(artifacts.items())],
        }
    )


def _finding(plan: Plan, outcome: Outcome, found: Finding) -> dict[str, Any]:
    criterion = plan.criterion(found.check)
    return {
        "id": "/".join(p for p in (outcome.id, found.check, found.subject) if p),
        "check": found.check,
        "part": found.subject,
        "finding": found.status,
        "says": found.says,
        "estimate": found.estimate,
        "interval": None if found.low is None else {"low": found.low, "high": found.high, "level": LEVEL},
        "n": found.n,
        "criterion": {
            "text": found.criterion,
            "thresholds": found.thresholds,
            "why": criterion.why,
            "set_by": criterion.set_by,
        },
    }


def finding(document: Mapping[str, Any]) -> Finding:
    """The finding that a document's entry was made from."""
    interval = document["interval"] or {"low": None, "high": None}
    return Finding(
        check=document["check"],
        status=document["finding"],
        says=document["says"],
        estimate=document["estimate"],
        low=interval["low"],
        high=interval["high"],
        n=document["n"],
        criterion=document["criterion"]["text"],
        subject=document["part"],
        thresholds=document["criterion"]["thresholds"],
    )


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers that are not finite become null, arrays and tuples lists."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def dump(document: Any) -> bytes:
    """The one way in which a document becomes bytes."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def slug(name: str) -> str:
    """A file name for any text: its safe characters, and a hash when that is not the text itself."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:48]
    return safe if safe and safe == name else f"{safe}-{sha256(name.encode())[:8]}".strip("-")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def parts(document: Mapping[str, Any]) -> dict[str, str]:
    """A digest for each part of a document, so that a change can be located. Lists of tables go entry by entry."""
    found: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            for i, entry in enumerate(value):
                found[f"{key}[{i}]"] = sha256(dump(entry))
        else:
            found[key] = sha256(dump(value))
    return found


def untimed(record: Any) -> Any:
    """The same record without its time fields, wherever a provenance stands in it."""
    if isinstance(record, Provenance):
        return replace(record, started="", seconds=0.0, took={})
    if is_dataclass(record) and not isinstance(record, type):
        changed = {f.name: untimed(getattr(record, f.name)) for f in fields(record) if f.init}
        return replace(record, **{k: v for k, v in changed.items() if v is not getattr(record, k)})
    if isinstance(record, tuple) and any(is_dataclass(v) for v in record):
        return tuple(untimed(v) for v in record)
    return record


def table(frame: pd.DataFrame) -> bytes:
    """A table as CSV that a spreadsheet reads as text and numbers: nothing in it is a formula.

    Text and headings that start with ``= + - @``, a tab or a line end get a ``'`` in front (OWASP, CSV injection).
    Lines end as RFC 4180 has them, so that a carriage return inside a text is quoted and starts no row.
    """
    safe = frame.rename(columns=_inert)
    for position, column in enumerate(safe.columns):
        values = safe.iloc[:, position]
        if values.dtype.kind not in "fiub":
            safe = safe.assign(**{str(column): values.map(_inert)})
    return safe.to_csv(index=False, lineterminator="\r\n").encode()


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _version() -> str:
    import labkit

    return labkit.__version__
