"""What an audit cost, question by question, and what training had cost before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.core.words import quantity

if TYPE_CHECKING:
    from labkit.report.audit import Report


def table(report: Report) -> list[dict[str, Any]]:
    """For each subject a row for its training, where the card tells it, one for each question, and their sum."""
    found = []
    for subject in report.subjects:
        name = str(subject["name"])
        rows = [_row("Training it", _of_training(report.cards[name]))] if name in report.cards else []
        took = (
            [("All its answers, asked for at the beginning", report.answering[name])]
            if name in report.answering
            else []
        )
        took += [(o.step.question, o.took) for o in report.of(name) if o.took]
        rows += [_row(question, one) for question, one in took]
        if len(took) > 1:
            rows.append(_row("The whole audit of it", _sum([one for _, one in took])))
        found.append({"subject": name, "rows": rows})
    return found


def method(report: Report) -> str:
    """How the energy was estimated, of this audit and of training."""
    audits = [str(o.took["energy"]) for o in report.outcomes if o.took]
    training = [str(_of_training(card)["energy"]) for card in report.cards.values()]
    said = [("energy of this audit is an", audits), ("of training an", training)]
    return "; ".join(f"{what} {'; or an '.join(dict.fromkeys(ways))}" for what, ways in said if ways) + "."


def _of_training(card: Mapping[str, Any]) -> dict[str, Any]:
    made = card["training"]
    return {
        "forwards": made["forward_passes"],
        "backwards": made["backward_passes"],
        "flops": math.nan,
        "seconds": made["seconds"],
        "peak_memory": made["peak_memory_bytes"],
        "joules": made["energy_joules"],
        "energy": made["energy_method"],
    }


def _sum(took: list[Mapping[str, Any]]) -> dict[str, Any]:
    added = ("forwards", "backwards", "flops", "uncounted", "seconds", "joules")
    return {n: sum(t[n] for t in took) for n in added} | {"peak_memory": max(t["peak_memory"] for t in took)}


def _row(what: str, took: Mapping[str, Any]) -> dict[str, Any]:
    some = "at least " if took.get("uncounted") else ""
    return {
        "what": what,
        "cells": [
            f"{took['forwards']:,}",
            f"{took['backwards']:,}",
            "not known" if math.isnan(took["flops"]) else some + quantity(took["flops"], "FLOP"),
            f"{took['seconds']:,.1f}",
            quantity(took["peak_memory"], "B"),
            quantity(took["joules"], "J"),
        ],
    }
