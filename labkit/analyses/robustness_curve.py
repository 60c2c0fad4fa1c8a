"""Robust accuracy against several attacks and controls, at several budgets, with proof that the attacks worked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from labkit.analyses import _attack_evidence as evidence
from labkit.analyses._attacking import (
    Chosen,
    Ground,
    Strike,
    as_budgets,
    choose,
    grid_levels,
    prepare,
    refuse_without_values,
    settle,
    stored,
    strike,
)
from labkit.analyses._guard import DEFAULT_BATCH, Run, unchanged
from labkit.checks._allowance import allowed
from labkit.checks._iterated import iterated
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.robustness_curve import RobustnessCurve

NOISE, BLACK_BOX, ONE_STEP, ITERATED = "uniform_noise", "square", "fgsm", "pgd"
# A control looks for hidden gradients, for which fewer tries do than for a tight bound.
CONTROLS: dict[str, dict[str, Any]] = {
    ONE_STEP: {},
    ITERATED: {"restarts": 2},  # one start for each of its two losses
    BLACK_BOX: {"queries": 200},
    NOISE: {"draws": 25},
}
VANISHING = 1e-9


def robustness_curve(
    model: Classifier,
    data: Split,
    attacks: Sequence[str | Callable[..., Any]] = ("pgd", "square"),
    *,
    eps: Sequence[float],
    norm: str = "linf",
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> RobustnessCurve:
    """Each row's smallest known breaking budget, over all attacks.

    One gradient step, PGD (2 starts), the Square attack (200 queries) and uniform noise (25 draws) run beside the
    attacks asked for. Each attack goes through the budgets in ascending order and sees only the rows that it has not broken yet. When
    gradients vanish or point nowhere, or lose to an attack without them, stronger attacks follow: gradients of rescaled
    logits, and Square with 2000 queries. If attacks without gradients still do better than gradient steps repeated, the
    record says "contradicted".

    Args:
        attacks: names, or functions of your own.
        eps: the budgets, in the data's units.
        norm: "linf" or "l2".
        options: tunables by attack name, such as ``{"pgd": {"steps": 100}}``.

    Returns:
        RobustnessCurve: bounds from above, with exact intervals and the evidence for the checks.

    Raises:
        Refused: as ``labkit.attack``; no attacks or budgets, or one of them twice.
    """
    budgets = as_budgets("robustness_curve", eps)
    chosen, controls = _choose(attacks, dict(options or {}), norm)
    about = {"attacks": [str(c.spec) for c in chosen], "eps": budgets.tolist(), "norm": norm}
    run = Run("robustness_curve", about, seed, model, batch_size=batch_size)
    ground = prepare(run, model, data, norm, budgets.tolist(), seed)
    with unchanged(ground.model):
        campaign = _Campaign(ground, budgets[budgets > 0])
        for attack in chosen:
            campaign.run(attack)
        found: dict[str, Any] = evidence.gradients(ground)
        found["escalated"] = _reason_to_escalate(campaign, found)
        if found["escalated"]:
            _escalate(campaign, chosen)
        stepping = next((c for c in chosen if evidence.has_steps(c)), None)
        at = campaign.broken_at[stepping.name] if stepping else np.zeros(0)
        found |= evidence.longer(ground, stepping, campaign.budgets, at)
        # One step across the whole range overshoots on sound models too.
        whole = next((c for c in chosen if c.names_eps and c.name != ONE_STEP), None)
        found |= evidence.whole_range(ground, whole)
        levels = grid_levels(ground.x, ground.bounds)
        kept = stored(ground, campaign.nearest, np.isfinite(campaign.reached) & ground.correct, levels)
    record = RobustnessCurve(
        provenance=run.provenance(),
        warnings=_warnings(run, campaign),
        norm=norm,
        eps=budgets,
        attacks=tuple(campaign.broken_at),
        specs=tuple(campaign.specs.values()),
        controls=controls,
        classes=model.classes,
        y=ground.y,
        label=ground.label,
        broken_at=np.stack(list(campaign.broken_at.values())),
        is_gradient=np.array(list(campaign.is_gradient.values())),
        queries=np.array(list(campaign.queries.values())),
        gradients=np.array(list(campaign.gradients.values())),
        nonfinite=np.array(list(campaign.nonfinite.values())),
        stored=kept,
        levels=levels,
        **found,
    )
    return _contradicted(record)


def _choose(
    attacks: Sequence[str | Callable[..., Any]], options: dict[str, Mapping[str, Any]], norm: str
) -> tuple[list[Chosen], tuple[str, ...]]:
    """The attacks asked for, then the controls that are not among them."""
    asked = [attacks] if isinstance(attacks, str) or callable(attacks) else list(attacks)
    if not asked:
        raise Refused("robustness_curve", "no attacks", "at least one attack, such as 'pgd'")
    chosen = [choose(a, {}, norm) for a in asked]
    given = [c.name for c in chosen]
    controls = tuple(c for c in CONTROLS if c not in given)
    known = [*given, *controls]
    if len(set(known)) != len(known):
        raise Refused("robustness_curve", f"attacks {given}", "each attack once")
    for name in options:
        if name not in known:
            raise Refused("robustness_curve", f"options for {name!r}", f"options for one of: {', '.join(known)}")
    settings = {name: options.get(name, CONTROLS[name] if name in controls else {}) for name in known}
    return [choose(a, settings[n], norm) for a, n in zip([*asked, *controls], known, strict=True)], controls


@dataclass
class _Campaign:
    """Attacks one after another, each over all budgets: which row broke where, and the nearest adversarial known."""

    ground: Ground
    budgets: np.ndarray
    broken_at: dict[str, np.ndarray] = field(default_factory=dict)
    specs: dict[str, str] = field(default_factory=dict)
    is_gradient: dict[str, bool] = field(default_factory=dict)
    queries: dict[str, int] = field(default_factory=dict)
    gradients: dict[str, int] = field(default_factory=dict)
    nonfinite: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start = np.where(self.ground.correct, np.inf, 0.0)
        self.reached = self.start.copy()
        self.nearest = self.ground.x.copy()

    def run(self, attack: Chosen, *, scale: float | None = None, known: np.ndarray | None = None) -> None:
        """One attack over the budgets, ascending. A row that it broke stays broken; ``known`` says which are already."""
        at = (self.start if known is None else known).copy()
        queries = gradients = nonfinite = tried = lost = 0
        once: Strike | None = None
        for eps in self.budgets.tolist():
            rows = np.flatnonzero(at > eps)
            if not len(rows):
                break
            if attack.names_eps:
                hit = strike(self.ground, attack, rows, eps, scale=scale)
            else:
                if once is None:
                    once, first = strike(self.ground, attack, rows, None, scale=scale), rows
                    queries, gradients, lost = once.queries, once.gradients, once.lost
                    tried = len(rows)
                hit = settle(self.ground, rows, once.x[np.isin(first, rows)], eps)
            queries, gradients = queries + hit.queries, gradients + hit.gradients
            tried, lost = tried + len(rows) * attack.names_eps, lost + hit.lost
            nonfinite += int((hit.label < 0).sum())
            at[rows[hit.success]] = eps
            nearer = rows[hit.success & (self.reached[rows] > eps)]
            self.nearest[nearer] = hit.x[np.isin(rows, nearer)]
            self.reached[nearer] = eps
        refuse_without_values(attack, lost, tried)
        # A stronger variant may find nothing left to do, and so take no gradient: it is of the kind of its model.
        self.is_gradient[attack.name] = gradients > 0 or scale is not None
        self.broken_at[attack.name], self.specs[attack.name] = at, str(attack.spec)
        self.queries[attack.name], self.gradients[attack.name] = queries, gradients
        self.nonfinite[attack.name] = nonfinite

    @property
    def iterated(self) -> bool:
        """Whether any attack took more than one gradient step."""
        kinds, taken = (np.array(list(found.values())) for found in (self.is_gradient, self.gradients))
        return bool(iterated(kinds, taken, np.stack(list(self.broken_at.values())), self.budgets).any())

    def best(self, *, by_gradient: bool) -> np.ndarray:
        """(example,) smallest breaking budget among the attacks that use gradients, or among the others."""
        rows = [at for name, at in self.broken_at.items() if self.is_gradient[name] == by_gradient]
        return np.min([self.start, *rows], axis=0)


def lost_to_black_box(gradient: np.ndarray, black_box: np.ndarray, eps: np.ndarray, correct: np.ndarray) -> int | None:
    """The budget's position at which attacks without gradients win by the most rows, if by more than chance allows."""
    only = ((black_box <= eps[:, None]) & (gradient > eps[:, None]) & correct).sum(1)
    worst = int(only.argmax())
    return worst if only[worst] > allowed(int(correct.sum()), 0.02) else None


def _reason_to_escalate(campaign: _Campaign, found: Mapping[str, np.ndarray]) -> str:
    """Why the attacks so far may be too weak; "" when nothing says so."""
    ground = campaign.ground
    n, vanished = int(ground.correct.sum()), int((found["loss_gradient"] < VANISHING).sum())
    cosine = float(np.nanmean(found["cosine"])) if np.isfinite(found["cosine"]).any() else 1.0
    if vanished > 0.05 * n:
        return f"the loss gradient vanishes on {vanished} of {n} rows"
    if cosine < 0.5:
        return f"gradients at points 0.001 apart have a mean cosine of {cosine:.2f}"
    pair = campaign.best(by_gradient=True), campaign.best(by_gradient=False)
    if campaign.iterated:
        at = lost_to_black_box(*pair, campaign.budgets, ground.correct)
        if at is not None:
            return f"attacks without gradients broke more rows at eps {campaign.budgets[at]:g}"
    return ""


def _escalate(campaign: _Campaign, chosen: Sequence[Chosen]) -> None:
    """Gradients of rescaled logits for the attacks that repeat their steps, and Square with 2000 queries."""
    scale = evidence.typical_lead(campaign.ground)
    for attack in chosen:
        if campaign.is_gradient[attack.name] and attack.name != ONE_STEP:
            stronger = replace(attack, name=f"{attack.name} on rescaled logits")
            campaign.run(stronger, scale=scale, known=campaign.broken_at[attack.name])
    square = choose(BLACK_BOX, {"queries": 2000}, campaign.ground.norm)
    campaign.run(replace(square, name="square with more queries"), known=campaign.best(by_gradient=False))


def _warnings(run: Run, campaign: _Campaign) -> tuple[str, ...]:
    lost = {name: count for name, count in campaign.nonfinite.items() if count}
    if lost:
        each = ", ".join(f"{count} from {name}" for name, count in lost.items())
        run.warn(f"perturbed rows with NaN or infinite answers ({each}); these are not counted as broken")
    return tuple(run.warnings)


def _contradicted(record: RobustnessCurve) -> RobustnessCurve:
    """Two ways of measuring that disagree make the record say so; the figure is the minimum over all attacks."""
    gradient, black_box = record.is_gradient, ~record.is_gradient
    if not black_box.any() or not iterated(gradient, record.gradients, record.broken_at, record.eps).any():
        return record
    nearest = record.broken_at[gradient].min(0), record.broken_at[black_box].min(0)
    at = lost_to_black_box(*nearest, record.eps, record.correct)
    if at is None:
        return record
    left, other = (float(1 - record.broken(mask)[at].mean()) for mask in (gradient, black_box))
    reason = (
        f"at eps {record.eps[at]:g} attacks with gradients leave {left:.2f} of the rows standing, attacks without them "
        f"{other:.2f}: the model's gradients mislead, and the figure is the minimum over all attacks."
    )
    return replace(record, status="contradicted", reason=reason)
