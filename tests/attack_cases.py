"""Every attack under every threat model that it names, with options that take little time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.analyses._attack.chosen import supported_norms
from labkit.core import method, registry
from labkit.core.draws import Draws
from labkit.data.constraints import constraints
from labkit.data.price import Prices
from labkit.data.split import Split
from labkit.models.classifier import Classifier

ATTACKS = lk.names("attacks")
CASES = [(name, norm) for name in ATTACKS for norm in supported_norms(name)]
# Tunables by name: a new attack is quick without a line here, as long as its tunables go by the usual names.
FEW: dict[str, float] = {
    "again": 1,
    "draws": 12,
    "expand": 8,
    "generations": 3,
    "most": 64,
    "places": 4,
    "probes": 10,
    "population": 8,
    "queries": 30,
    "restarts": 1,
    "rounds": 1,
    "searches": 2,
    "starts": 20,
    "steps": 10,
    "targets": 2,
    "tries": 8,
    "updates": 20,
    "width": 2,
}
# "most" is another thing to exhaustive: what it may not pass.
OWN: dict[str, dict[str, Any]] = {"exhaustive": {}, "hop_skip_jump": {"steps": 2, "probes": 10, "starts": 20}}


def options(name: str) -> dict[str, Any]:
    """Options with which an attack takes little time."""
    if name in OWN:
        return OWN[name]
    known = {p.name: p for p in method.params(registry.find("attacks", name))}
    return {k: type(known[k].default)(v) for k, v in FEW.items() if k in known and fits(known[k], v)}


def fits(tunable: method.Param, value: float) -> bool:
    """Whether a tunable may take the value: names mean other things to other attacks."""
    return tunable.range is None or tunable.range.low <= value <= tunable.range.high


def names(name: str, argument: str) -> bool:
    """Whether an attack asks for that argument."""
    return argument in method.needs(registry.find("attacks", name))


@dataclass(frozen=True)
class Ground:
    """A model, rows to attack, rows of what inputs usually are, a budget, and the columns of a table that may change."""

    model: Classifier
    data: Split
    background: Split
    eps: float
    free: tuple[str, ...] = ()

    @property
    def constraints(self) -> dict[str, Any] | None:
        held = [f.name for f in self.data.schema.features if f.name not in self.free]
        return {"immutable": held} if self.free else None

    @property
    def prices(self) -> Prices:
        agreed = constraints(self.constraints, self.data.schema, self.background.x)
        return Prices(self.data.schema, agreed, self.background.x)

    def right(self) -> Ground:
        """With the rows alone that the model gets right."""
        with torch.no_grad():
            label = self.model(self.model.tensor(self.data.x)).argmax(1).numpy()
        return replace(self, data=self.data[np.flatnonzero(label == self.data.y)])

    def first(self, n: int) -> Ground:
        return replace(self, data=self.data[:n])


class Watched(nn.Module):
    """A model that counts the rows of its largest pass and those that gradients can be taken of, and may answer otherwise."""

    def __init__(self, model: Classifier, otherwise: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.inner, self.model, self.otherwise = model.module, model, otherwise
        self.most = self.gradients = 0

    def forward(self, x: Tensor) -> Tensor:
        logits = self.model(x)
        self.most = max(self.most, len(x))
        self.gradients += len(x) if logits.requires_grad else 0
        return logits if self.otherwise is None else self.otherwise(x, logits)

    def classifier(self) -> Classifier:
        embedding = None if self.model.embedding is None else f"inner.{self.model.embedding}"
        return replace(self.model, module=self.eval(), outputs="logits", read=None, embedding=embedding)


def raw(
    name: str,
    norm: str,
    ground: Ground,
    *,
    rows: np.ndarray | None = None,
    model: Classifier | None = None,
    x: Tensor | None = None,
    eps: float | None = None,
    seed: int = 0,
    batch_size: int = 16,
    **others: Any,
) -> Tensor:
    """The bare leaf, without the analysis around it, on some rows (positions), each with its own draws."""
    function, data = registry.find("attacks", name), ground.data
    rows = np.arange(len(data.x)) if rows is None else rows
    offered: dict[str, Any] = {
        "model": model or ground.model,
        "x": torch.tensor(data.x[rows]) if x is None else x,
        "y": torch.tensor(data.y[rows]),
        "eps": ground.eps if eps is None else eps,
        "norm": norm,
        "generator": Draws(seed, len(data.x))[rows],
        "bounds": ground.model.bounds,
        "background": torch.tensor(ground.background.x),
        "batch_size": batch_size,
        "schema": data.schema,
    }
    if data.texts:
        offered["texts"] = tuple(data.texts[i] for i in rows)
    if norm == "cost":
        offered["constraints"] = ground.prices.agreed
    return method.call(function, method.bind("attacks", name, function, options(name) | others), offered)


def far(norm: str, ground: Ground, found: Tensor) -> np.ndarray:
    """(n,) how far each row is from what it was, as the threat model counts; by other means than the lab's."""
    before, after = (np.asarray(v, np.float64).reshape(len(found), -1) for v in (ground.data.x, found))
    change = np.abs(after - before)
    match norm:
        case "linf":
            return change.max(1)
        case "l1":
            return change.sum(1)
        case "l0" | "edits":
            return (change > 0).sum(1).astype(float)
        case "cost":
            return ground.prices.price(ground.data.x, found.numpy())
    length = np.sqrt((change**2).sum(1))
    return length if norm == "l2" else length / np.sqrt((before**2).sum(1))
