"""Threat models: what an attack may change, how far a change is, and whether a changed row keeps to its budget.

A threat model goes by its name, which the analyses call ``norm``. An attack that takes a budget and no norm is a threat
model of its own: only it knows what its budget means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from labkit.attacks._search import distance, project
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier
from labkit.records.attack import THREATS

if TYPE_CHECKING:
    from labkit.analyses._attack.ground import Ground

BALLS = ("linf", "l2", "l1", "l0")
NUMBERS = (
    "labkit.wrap(..., bounds=(low, high)) for inputs that are numbers of one unit, such as images; norm='cost' for tables, "
    "norm='edits' for text, norm='noise_to_signal' for sound and series"
)
Kept = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Threat:
    """One threat model.

    Attributes:
        needs: capabilities that it asks of a model.
        keep: (ground, rows, changed, eps) -> the changed rows brought within budget and bounds, and which of them were
            given up instead: those are as they were.
        distance: (ground, rows, changed) -> (n,) how far each changed row is; None where only the attack knows.
        whole: (ground) -> the budget that reaches every input; None where there is none.
    """

    name: str
    needs: tuple[str, ...]
    keep: Callable[[Ground, np.ndarray, np.ndarray, float], Kept]
    distance: Callable[[Ground, np.ndarray, np.ndarray], np.ndarray] | None = None
    whole: Callable[[Ground], float] | None = None


def threat(name: str) -> Threat:
    """The threat model of that name; a name that is none of them is an attack's own."""
    if name in BALLS:
        return Threat(name, ("continuous", "bounds"), _cut, _distance, _WHOLE[name])
    if name == "noise_to_signal":
        return Threat(name, ("continuous",), _cut, _distance)
    if name == "edits":
        return Threat(name, (), _few_edits, _edits)
    if name == "cost":
        return Threat(name, (), _affordable, _price)
    return Threat(name, (), _within_bounds)


def usual(model: Classifier, tables: bool) -> str:
    """The threat model for a kind of input when none is named."""
    if tables:
        return "cost"
    return "linf" if "continuous" in model.capabilities else "edits"


def require(asked: str, found: Threat, model: Classifier) -> None:
    """Refuse a model whose inputs the threat model does not fit."""
    for capability in found.needs:
        model.require(capability, by=asked, instead=NUMBERS)
    if found.name == "edits" and "continuous" in model.capabilities:
        instead = (
            f"norm= one of: {', '.join(BALLS)}; norm='cost' for tables, norm='noise_to_signal' for sound and series"
        )
        raise Refused(f"{asked} under edits", f"{model.name}, whose inputs are numbers and no words", instead)


def _cut(ground: Ground, rows: np.ndarray, changed: np.ndarray, eps: float) -> Kept:
    if not np.isfinite(eps):
        return _within_bounds(ground, rows, changed, eps)
    before = torch.tensor(ground.x[rows])
    kept = project(torch.tensor(changed), before, eps, ground.norm, ground.model.bounds)
    return kept.numpy(), np.zeros(len(rows), bool)


def _distance(ground: Ground, rows: np.ndarray, changed: np.ndarray) -> np.ndarray:
    return _far(changed, ground.x[rows], ground.norm)


def _far(a: np.ndarray, b: np.ndarray, norm: str) -> np.ndarray:
    return distance(torch.tensor(a), torch.tensor(b), norm).double().numpy()


def _edits(ground: Ground, rows: np.ndarray, changed: np.ndarray) -> np.ndarray:
    return (changed != ground.x[rows]).sum(1).astype(float)


def _few_edits(ground: Ground, rows: np.ndarray, changed: np.ndarray, eps: float) -> Kept:
    """Padding must stay where it was and come in nowhere else."""
    before, padding = ground.x[rows], 0 if ground.model.padding is None else ground.model.padding
    moved = ((changed == padding) != (before == padding)).any(1)
    return _given_up(before, changed, moved | (_edits(ground, rows, changed) > eps))


def _price(ground: Ground, rows: np.ndarray, changed: np.ndarray) -> np.ndarray:
    return ground.table.price(ground.x[rows], changed)


def _affordable(ground: Ground, rows: np.ndarray, changed: np.ndarray, eps: float) -> Kept:
    before = ground.x[rows]
    return _given_up(before, changed, ~ground.table.kept(before, changed, eps))


def _within_bounds(ground: Ground, rows: np.ndarray, changed: np.ndarray, eps: float) -> Kept:
    bounds = ground.model.bounds
    return (changed if bounds is None else changed.clip(*bounds)), np.zeros(len(rows), bool)


def _given_up(before: np.ndarray, changed: np.ndarray, bad: np.ndarray) -> Kept:
    return np.where(bad.reshape(-1, *[1] * (before.ndim - 1)), before, changed), bad


_WHOLE: dict[str, Callable[[Ground], float]] = {
    "linf": lambda ground: ground.span,
    "l2": lambda ground: ground.span * float(np.sqrt(ground.x[0].size)),
    "l1": lambda ground: ground.span * ground.x[0].size,
    "l0": lambda ground: float(ground.x[0].size),
}


def check_budgets(asked: str, ground: Ground, budgets: Sequence[float]) -> None:
    """Refuse budgets that are no numbers, negative, or so large that they can only be in another unit.

    Parts of a row's length are refused for tables, whose columns have no unit in common.

    From half the span of the data on ("linf": every pixel can turn grey), or the usual distance between two rows (the
    other norms: a row can turn into another), nothing of the row's class needs to be left. The whole input range is
    allowed: it is the budget at which every attack must succeed.
    """
    for eps in budgets:
        if not np.isfinite(eps) or eps < 0:
            raise Refused(asked, f"eps={eps}", "a budget that is a number from 0 on, in the data's units")
    if ground.norm in BALLS:
        _check_unit(asked, ground, budgets)
    if ground.norm == "noise_to_signal" and ground.data.schema.features:
        raise Refused(f"{asked} under noise_to_signal", "a table, whose columns have units of their own", "norm='cost'")


def _check_unit(asked: str, ground: Ground, budgets: Sequence[float]) -> None:
    (low, high), x = ground.bounds, ground.x
    whole = _WHOLE[ground.norm](ground)
    if ground.norm == "linf":
        limit = float(x.max() - x.min()) / 2
    else:
        limit = float(np.median(_far(x, np.roll(x, 1, 0), ground.norm)))
    limit = limit or whole / 2
    for eps in budgets:
        if eps < limit or np.isclose(eps, whole):
            continue
        looks = ground.norm == "linf" and eps > high - low and float(eps).is_integer() and eps <= 255
        guess = f"; it looks like {eps:g}/255, which is {eps / 255 * (high - low):.4g} in the data's units"
        raise Refused(
            asked,
            f"eps={eps:g} under {THREATS[ground.norm]}, where the data lie within {low:g} to {high:g} and {limit:.3g} is "
            f"enough to leave nothing of a row's class{guess if looks else ''}",
            f"a budget below {limit:.3g}, or {whole:.4g} (the whole range) to see the attack succeed everywhere",
        )
