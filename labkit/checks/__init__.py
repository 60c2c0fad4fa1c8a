"""Checks: pure functions of one saved record. Each says one thing, in one sentence, with its numbers."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from labkit.core import method, registry
from labkit.core.record import Record
from labkit.core.refused import Refused
from labkit.records.finding import Finding

Check = Callable[..., "Finding | Iterable[Finding]"]


def applies_to(check: Check) -> type:
    """The record that a check reads: the type of its first argument."""
    hints = typing.get_type_hints(check)
    return typing.cast(type, hints[method.needs(check)[0]])


def check(
    *records: Record,
    only: Iterable[str | Check] | None = None,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Finding, ...]:
    """What every fitting check finds in these records.

    Args:
        records: any records, freshly made or loaded from disk.
        only: the checks to run; by default all that read this kind of record.
        thresholds: options by check name, such as ``{"completeness": {"tolerance": 0.02}}``.

    Raises:
        Refused: an unknown check or option.
    """
    for record in records:
        if not isinstance(record, Record):
            raise Refused("a check", f"a {type(record).__name__}", "a record, such as labkit.predict gives")
    chosen = tuple(only) if only is not None else registry.names("checks")
    checks = [(registry.label(c), registry.find("checks", c)) for c in chosen]
    settings = dict(thresholds or {})
    for name in settings:
        if name not in dict(checks):
            registry.find("checks", name)
    found: list[Finding] = []
    for record in records:
        for name, function in checks:
            if isinstance(record, applies_to(function)):
                found += _run(name, function, record, settings.get(name, {}))
    return tuple(found)


def _run(name: str, function: Check, record: Record, options: Mapping[str, Any]) -> list[Finding]:
    spec = method.bind("checks", name, function, options)
    if record.status == "not_measured":
        return [Finding(check=name, status="not_measured", says=record.reason, thresholds=spec.options)]
    result = function(record, **spec.options)
    return [result] if isinstance(result, Finding) else list(result)
