"""How far each row may change before the answer can: proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses._attack.chosen import as_budgets
from labkit.analyses._attack.tables import table
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, batched, check_classifier, logits, unchanged
from labkit.analyses._preflight import check_background, check_not_shifted, preflight
from labkit.core import method, registry
from labkit.core.draws import Draws
from labkit.core.method import Spec
from labkit.core.refused import Refused
from labkit.data.constraints import Constraints
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.certify import Certificate

ASKED = "certify"
FIRST = 2.0**-8  # of the whole range: where the search for the largest budget begins
LEAST = 2.0**-16  # of an input's range: below it nothing is looked for
OPEN = 1e-8  # taken off radii that a method gives itself: at the radius another answer may begin


def certify(
    model: Classifier,
    data: Split,
    method: str | Callable[..., Tensor] = "crown",
    *,
    norm: str | None = None,
    eps: float | Sequence[float] | None = None,
    resolution: float = 0.05,
    background: Split | None = None,
    constraints: Constraints | Mapping[str, Any] | None = None,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    **options: Any,
) -> Certificate:
    """The largest budget up to which each row's answer is right and proven to stay so.

    Rows that the model gets wrong are not certified. A row with radius 0 is not known to break: this method does not
    prove that it stands.

    Args:
        method: a certificate's name (``labkit.names("certificates")``) or a function of your own.
        norm: the threat model; by default the first that the method knows.
        eps: budgets to certify at; by default the largest is looked for, row by row, up to ``resolution`` (a share of
            it), by trying budgets one after the other. A budget once certified counts, whatever a larger one gives.
        background, constraints: of tables under the threat model "cost", as for ``labkit.attack``.
        options: the certificate's own tunables.

    Returns:
        Certificate: a radius a row, and certified accuracy, which is at most robust accuracy.

    Raises:
        Refused: whatever preflight finds; a norm that the method does not know; a part of the model for which it knows
            no bounds, by name; budgets that are no numbers.
    """
    check_classifier(model, ASKED)
    asked = f"{ASKED} on {model.name}"
    if not isinstance(data, Split):
        raise Refused(asked, f"a {type(data).__name__}", "a Split, such as data.test[:64]")
    chosen = _choose(method, options, norm)
    budgets = np.zeros(0) if eps is None else as_budgets(ASKED, eps)
    if len(budgets) and not (np.isfinite(budgets).all() and budgets[0] >= 0):
        raise Refused(ASKED, f"eps={eps}", "budgets that are numbers from 0 on, in the data's units")
    if not isinstance(resolution, float | int) or not 0.001 <= resolution <= 1:
        raise Refused(ASKED, f"resolution={resolution!r}", "a share of the radius, from 0.001 to 1")
    stated = {"certificate": str(chosen.spec), "norm": chosen.norm, "eps": budgets.tolist(), "resolution": resolution}
    run = Run(ASKED, stated, seed, model, batch_size=batch_size)
    x, y, run.data = as_split(data, model)
    assert y is not None
    preflight(run, model, x, y)
    if constraints and chosen.norm != "cost":
        raise Refused(asked, f"constraints, of which the threat model {chosen.norm} knows nothing", "norm='cost'")
    if background is not None:
        check_background(asked, model, x, background)
    label = logits(run, model, x).argmax(1)
    check_not_shifted(run, model, label, y)
    offered = {"schema": data.schema, "norm": chosen.norm, "bounds": model.bounds}
    if chosen.norm == "cost":
        offered |= table(asked, data, background, constraints).on_offer(model)
    span = _span(model, x)
    asking = _Asking(run, model, chosen, x, y, Draws(seed, len(x)), offered)
    most = span * {"l2": float(np.sqrt(x[0].size)), "l1": float(x[0].size)}.get(chosen.norm, 1.0)
    with unchanged(model):
        if not chosen.names_eps:
            found = asking(np.arange(len(x)), None)
            radius = np.maximum(found - OPEN * np.maximum(1, np.where(np.isfinite(found), found, 0)), 0)
        elif len(budgets):
            radius, most = _at(asking, budgets, label == y), float(budgets[-1])
        else:
            radius = _largest(asking, most, LEAST * span, label == y, resolution)
    searched = chosen.names_eps and not len(budgets)
    return Certificate(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        method=chosen.name,
        spec=str(chosen.spec),
        norm=chosen.norm,
        of="the model smoothed by noise" if chosen.smoothed else "the model",
        confidence=1 - float(chosen.spec.options.get("alpha", 0.0)),
        classes=model.classes,
        y=y,
        label=label,
        eps=budgets,
        radius=radius if chosen.names_eps or not len(budgets) else _cut(radius, budgets),
        resolution=resolution if searched else float("nan"),
        most=most,
    )


@dataclass(frozen=True)
class _Chosen:
    """A certificate with its options, under one threat model."""

    name: str
    function: Callable[..., Tensor]
    spec: Spec
    norm: str

    @property
    def names_eps(self) -> bool:
        """Whether it takes a budget and gives margins; if not it gives radii."""
        return "eps" in method.needs(self.function)

    @property
    def smoothed(self) -> bool:
        return "smoothed" in method.promises(self.function)


def _choose(given: str | Callable[..., Tensor], options: Mapping[str, Any], norm: str | None) -> _Chosen:
    name, function = registry.label(given), registry.find("certificates", given)
    supported = method.choices(function, "norm") or ("linf",)
    norm = supported[0] if norm is None else norm
    if method.choices(function, "norm") and norm not in supported:
        fit = [n for n in registry.names("certificates") if norm in method.choices(registry.find("certificates", n), "norm")]  # fmt: skip
        instead = f"norm={supported[0]!r}" + (f", or one of: {', '.join(fit)}" if fit else "")
        raise Refused(f"{name} under {norm!r}", f"a certificate for {', '.join(supported)}", instead)
    return _Chosen(name, function, method.bind("certificates", name, function, options), norm)


@dataclass(frozen=True)
class _Asking:
    """Calls a certificate on some rows, in batches."""

    run: Run
    model: Classifier
    chosen: _Chosen
    x: np.ndarray
    y: np.ndarray
    draws: Draws
    offered: Mapping[str, Any]

    def __call__(self, rows: np.ndarray, eps: np.ndarray | None) -> np.ndarray:
        """(rows,) margins at a budget a row, or radii."""
        if not len(rows):
            return np.zeros(0)

        def part(some: slice) -> Tensor:
            of = rows[some]
            offered = {
                **self.offered,
                "model": self.model,
                "x": self.model.tensor(self.x[of]),
                "y": self.model.tensor(self.y[of]),
                "generator": self.draws[of],
                "batch_size": self.run.batch_size,
                "eps": None if eps is None else torch.tensor(eps[some], device=self.model.device),
            }
            found = method.call(self.chosen.function, self.chosen.spec, offered)
            if not isinstance(found, Tensor) or found.shape != (len(of),):
                given = f"a result of shape {tuple(getattr(found, 'shape', ()))} for {len(of)} rows"
                raise Refused(f"the certificate {self.chosen.name}", given, "one number a row, as a torch.Tensor")
            return found.double()

        found = batched(self.run, self.chosen.name, part, len(rows)).numpy()
        return np.where(np.isnan(found), -np.inf, found)  # what is no number certifies nothing


def _at(asking: _Asking, budgets: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """(n,) the largest of the budgets at which each row is certified."""
    radius = np.zeros(len(correct))
    for eps in budgets[budgets > 0]:
        rows = np.flatnonzero(correct)
        radius[rows[asking(rows, np.full(len(rows), eps)) > 0]] = eps
    return radius


def _cut(radius: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """(n,) the largest of the budgets within each radius."""
    return np.array([max((e for e in budgets if e <= r), default=0.0) for r in radius])


def _largest(asking: _Asking, whole: float, least: float, correct: np.ndarray, resolution: float) -> np.ndarray:
    """(n,) the largest budget at which each row was certified: doubled or halved until one holds and the next does not,
    then halved between the two on a logarithmic scale. All rows at once, each at its own budget."""
    low, high = np.full(len(correct), -np.inf), np.full(len(correct), np.inf)  # log2 shares of the whole range
    rows, at = np.flatnonzero(correct), np.full(len(correct), np.log2(FIRST))
    fine = np.log2(1 + resolution)
    while len(rows):
        holds = asking(rows, whole * 2.0 ** at[rows]) > 0
        low[rows[holds]], high[rows[~holds]] = at[rows[holds]], at[rows[~holds]]
        at[rows] = [_next(*ends) for ends in zip(low[rows], high[rows])]
        done = (high - low <= fine) | (low >= 0) | (high <= np.log2(least / whole))
        rows = rows[~done[rows]]
    return np.where(np.isfinite(low), whole * 2.0**low, 0.0)


def _next(low: float, high: float) -> float:
    """Where to look next, on a logarithmic scale: a quarter of what failed, four times what held, or between the two."""
    if np.isinf(high):
        return min(low + 2, 0.0)
    return high - 2 if np.isinf(low) else (low + high) / 2


def _span(model: Classifier, x: np.ndarray) -> float:
    """The range of an input: the model's bounds, or that of these rows."""
    low, high = model.bounds or (float(x.min()), float(x.max()))
    return (high - low) or 1.0
