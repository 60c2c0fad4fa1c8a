"""What every analysis with attacks does: preflight, one call of an attack, the budget kept, the model asked again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.analyses._guard import Run, as_split, batched, logits
from labkit.analyses._preflight import check_not_shifted, preflight
from labkit.attacks._search import NORMS, project
from labkit.core import method, registry
from labkit.core.draws import Draws
from labkit.core.method import Spec
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier

NO_BOUNDS = (
    "labkit.wrap(..., bounds=(low, high)) for inputs that are numbers of one unit, such as images; tables and text "
    "need changes that respect their columns and words, which these attacks do not"
)


@dataclass(frozen=True)
class Chosen:
    """An attack with its options."""

    name: str
    function: Callable[..., Tensor]
    spec: Spec

    @property
    def names_eps(self) -> bool:
        """Whether it takes a budget; if not it looks for the smallest perturbation, once for all budgets."""
        return "eps" in method.needs(self.function)


@dataclass(frozen=True)
class Ground:
    """What the attacks of one analysis share: the model, the rows, and what the model answers without an attack."""

    run: Run
    model: Classifier
    x: np.ndarray
    y: np.ndarray
    label: np.ndarray
    norm: str
    draws: Draws

    @property
    def bounds(self) -> tuple[float, float]:
        assert self.model.bounds
        return self.model.bounds

    @property
    def span(self) -> float:
        """The whole range of an input."""
        return self.bounds[1] - self.bounds[0]

    @property
    def correct(self) -> np.ndarray:
        return self.label == self.y

    @property
    def whole_eps(self) -> float:
        """The budget that reaches every input."""
        return self.span * (1 if self.norm == "linf" else float(np.sqrt(self.x[0].size)))


@dataclass(frozen=True)
class Strike:
    """What an attack gave for some rows: perturbed rows within budget and bounds, and the model's answers to them."""

    x: np.ndarray
    label: np.ndarray
    success: np.ndarray
    queries: int = 0
    gradients: int = 0
    lost: int = 0  # rows for which the attack gave NaN or infinite values


def choose(attack: str | Callable[..., Any], options: Mapping[str, Any], norm: str) -> Chosen:
    """The attack of that name with its options; refused when it does not work under the norm."""
    if norm not in NORMS:
        raise Refused("an attack", f"norm={norm!r}", f"one of: {', '.join(map(repr, NORMS))}")
    name, function = registry.label(attack), registry.find("attacks", attack)
    supported = method.choices(function, "norm")
    if supported and norm not in supported:
        fit = [n for n in registry.names("attacks") if norm in method.choices(registry.find("attacks", n), "norm")]
        instead = f"norm={supported[0]!r}, or one of: {', '.join(fit)}"
        raise Refused(f"{name} under the {norm} norm", f"an attack for {', '.join(supported)}", instead)
    return Chosen(name, function, method.bind("attacks", name, function, options))


def prepare(run: Run, model: Classifier, data: Split, norm: str, budgets: Sequence[float], seed: int) -> Ground:
    """Preflight, and the model's answers to the clean rows."""
    asked = f"{run.analysis} on {model.name}"
    if not isinstance(data, Split):
        raise Refused(asked, f"a {type(data).__name__}", "a Split, such as data.test[:64]")
    for capability in ("continuous", "bounds"):
        model.require(capability, by=run.analysis, instead=NO_BOUNDS)
    x, y, run.data = as_split(data, model)
    assert y is not None
    preflight(run, model, x, y)
    check_budgets(asked, x, budgets, norm, model)
    z = logits(run, model, x)
    bad = np.flatnonzero(~np.isfinite(z).all(1))
    if len(bad):
        given = f"outputs that are NaN or infinite on {len(bad)} of {len(z)} clean rows (first: {bad[0]})"
        raise Refused(asked, given, "a model with finite outputs on every row")
    label = z.argmax(1)
    check_not_shifted(run, model, label, y)
    _check_answers_vary(asked, run, model, x, label, seed)
    if not (label == y).any():
        raise Refused(asked, f"{len(y)} rows, none of them classified correctly", "rows that the model gets right")
    return Ground(run, _channels_last(model, x), x, y, label, norm, Draws(seed, len(x)))


def _channels_last(model: Classifier, x: np.ndarray) -> Classifier:
    """A copy whose convolutions lie in memory as processors like them: about twice as fast, equal but for rounding.

    A module that cannot be run so (it views its maps as rows) or that answers otherwise is left as it is.
    """
    if not any(isinstance(m, nn.Conv2d) for m in model.module.modules()):
        return model
    rows = model.tensor(x[:8])
    try:
        module = copy.deepcopy(model.module)
        copied = replace(model, module=module.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        with torch.no_grad():
            before, after = model(rows), copied(rows)
    except RuntimeError:
        return model
    return copied if torch.allclose(before, after, rtol=1e-4, atol=1e-5) else model


def as_budgets(asked: str, eps: Any) -> np.ndarray:
    """One budget or several, ascending; refused when they are no numbers, none, or one of them twice."""
    try:
        budgets = np.sort(np.asarray(eps, float).ravel())
    except (TypeError, ValueError):
        raise Refused(asked, f"eps={eps!r}", "budgets that are numbers, in the data's units") from None
    if not len(budgets) or (np.diff(budgets) == 0).any():
        raise Refused(asked, f"eps={eps}", "at least one budget, each of them once")
    return budgets


def check_budgets(asked: str, x: np.ndarray, budgets: Sequence[float], norm: str, model: Classifier) -> None:
    """Refuse budgets that are no numbers, negative, or so large that they can only be in another unit.

    From half the span of the data on ("linf": every pixel can turn grey), or the usual distance between two rows ("l2":
    a row can turn into another), nothing of the row's class needs to be left. The whole input range is allowed: it is
    the budget at which every attack must succeed.
    """
    assert model.bounds
    low, high = model.bounds
    flat = x.reshape(len(x), -1)
    if norm == "linf":
        limit, whole = float(x.max() - x.min()) / 2, high - low
    else:
        apart = np.linalg.norm(flat - np.roll(flat, 1, 0), axis=1)
        whole = (high - low) * float(np.sqrt(flat.shape[1]))
        limit = float(np.median(apart))
    limit = limit or whole / 2
    for eps in budgets:
        if not np.isfinite(eps) or eps < 0:
            raise Refused(asked, f"eps={eps}", "a budget that is a number from 0 on, in the data's units")
        if eps >= limit and not np.isclose(eps, whole):
            looks = eps > high - low and float(eps).is_integer() and eps <= 255
            guess = f"; it looks like {eps:g}/255, which is {eps / 255 * (high - low):.4g} in the data's units"
            raise Refused(
                asked,
                f"eps={eps:g} under {norm}, where the data lie within {low:g} to {high:g} and {limit:.3g} is enough to "
                f"leave nothing of a row's class{guess if looks else ''}",
                f"a budget below {limit:.3g}, or {whole:.4g} (the whole range) to see the attack succeed everywhere",
            )


def _check_answers_vary(asked: str, run: Run, model: Classifier, x: np.ndarray, label: np.ndarray, seed: int) -> None:
    """Refuse a model that gives one class for every row, for their negatives, and for noise."""
    if len(np.unique(label)) > 1:
        return
    low, high = model.bounds or (0.0, 1.0)
    noise = low + (high - low) * Draws(seed, 64).spawn(7).uniform(*x.shape[1:])
    probes = np.concatenate([(low + high - x[:64]), noise]).astype(x.dtype)
    if (logits(run, model, probes, "probe").argmax(1) == label[0]).all():
        given = f"one class ({model.classes[label[0]]}) for every input, for its negative and for noise"
        raise Refused(asked, given, "a model whose answer depends on its input: robustness has no meaning here")


def strike(
    ground: Ground, chosen: Chosen, rows: np.ndarray, eps: float | None, *, scale: float | None = None
) -> Strike:
    """Run an attack on some rows (positions) and ask the model again; with a ``scale`` its logits are divided by it."""
    run, x = ground.run, ground.x[rows]
    metered = _Metered(ground.model, scale).eval()
    seen = replace(ground.model, module=metered, outputs="logits")
    draws = ground.draws[rows]

    def attack(part: slice) -> Tensor:
        values = ground.model.tensor(x[part]).clone()
        offered = {
            "model": seen,
            "x": values,
            "y": ground.model.tensor(ground.y[rows][part]),
            "eps": eps,
            "norm": ground.norm,
            "generator": draws[part],
            "bounds": ground.bounds,
        }
        found = method.call(chosen.function, chosen.spec, offered)
        if not isinstance(found, Tensor):
            kind = f"{type(found).__module__}.{type(found).__name__}".removeprefix("builtins.")
            raise Refused(f"the attack {chosen.name}", f"a result of type {kind}", "perturbed inputs as a torch.Tensor")
        if found.shape != values.shape:
            given = f"a result of shape {tuple(found.shape)} for inputs of shape {tuple(values.shape)}"
            raise Refused(f"the attack {chosen.name}", given, "perturbed inputs of the same shape")
        return found.to(values.dtype)

    what = chosen.name if eps is None else f"{chosen.name} at eps {eps:g}"
    raw = batched(run, what, attack, len(rows)).numpy()
    lost = ~np.isfinite(raw).reshape(len(raw), -1).all(1)
    if lost.any():
        run.warn(
            f"the attack {what} gave values that are not finite on {lost.sum()} of {len(rows)} rows; they count as not "
            "broken"
        )
        raw[lost] = x[lost]
    found = settle(ground, rows, raw, eps)
    return replace(found, queries=metered.queries, gradients=metered.gradients, lost=int(lost.sum()))


def refuse_without_values(chosen: Chosen, lost: int, tried: int) -> None:
    """Refuse an attack that gave nothing finite: rows that it left alone would look as if they had stood."""
    if tried and lost == tried:
        given = f"values that are not finite (NaN or infinite) on all {tried} rows"
        raise Refused(f"the attack {chosen.name}", given, "an attack that returns perturbed inputs as finite numbers")


def settle(ground: Ground, rows: np.ndarray, raw: np.ndarray, eps: float | None) -> Strike:
    """Perturbed rows cut to the budget and the bounds, and what the model answers to them.

    Answers that are not finite are labelled -1 and are no success. The rows are ones that were right before.
    """
    x = ground.x[rows]
    kept = project(
        torch.from_numpy(raw), torch.from_numpy(x), ground.whole_eps if eps is None else eps, ground.norm, ground.bounds
    )
    label = answers(ground, kept.numpy())
    return Strike(kept.numpy(), label, (label != ground.y[rows]) & (label >= 0))


def answers(ground: Ground, x: np.ndarray) -> np.ndarray:
    """(n,) predicted classes; -1 where the answer is not finite."""
    z = logits(ground.run, ground.model, x, "ask again")
    return np.where(np.isfinite(z).all(1), z.argmax(1), -1).astype(np.int64)


def grid_levels(x: np.ndarray, bounds: tuple[float, float]) -> int:
    """Into how many steps the data divide their range: the grid on which they can be stored. Beyond 8 bits images take
    255, and rows (n, values), such as sound, 65,535."""
    unit = (x[:256].astype(np.float64) - bounds[0]) / (bounds[1] - bounds[0])
    values = np.unique(unit.round(6))
    for levels in (1, 2, 3, 4, 7, 8, 10, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255):
        if np.abs(values * levels - np.round(values * levels)).max() < 1e-3:
            return levels
    return 65_535 if x.ndim == 2 else 255


def stored(ground: Ground, x: np.ndarray, success: np.ndarray, levels: int) -> np.ndarray:
    """(n,) successes that are still ones after rounding to the data's grid."""
    kept = np.zeros(len(x), bool)
    rows = np.flatnonzero(success)
    if len(rows):
        low = ground.bounds[0]
        rounded = low + np.round((x[rows] - low) / ground.span * levels) / levels * ground.span
        label = answers(ground, rounded.astype(x.dtype))
        kept[rows] = (label != ground.y[rows]) & (label >= 0)
    return kept


class _Metered(nn.Module):
    """A classifier that counts the rows it answers and those that gradients are taken of."""

    def __init__(self, model: Classifier, scale: float | None) -> None:
        super().__init__()
        self.inner, self.model, self.scale = model.module, model, scale
        self.queries = self.gradients = 0

    def forward(self, x: Tensor) -> Tensor:
        self.queries += len(x)
        self.gradients += len(x) if x.requires_grad else 0
        return self.model(x) if self.scale is None else self.model(x) / self.scale
