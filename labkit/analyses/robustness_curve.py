"""Robust accuracy against several attacks and controls, at several budgets, with proof that the attacks worked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses._attack import evidence
from labkit.analyses._attack.campaign import Campaign
from labkit.analyses._attack.chosen import Attack, as_budgets, listed, threat_of
from labkit.analyses._attack.controls import ONE_STEP, lined_up
from labkit.analyses._attack.escalation import escalate, lost_to_black_box, reasons
from labkit.analyses._attack.ground import Situation, prepare
from labkit.analyses._attack.strike import grid_levels, stored
from labkit.analyses._attack.threats import check_budgets
from labkit.analyses._guard import DEFAULT_BATCH, Run, check_classifier, unchanged
from labkit.checks._iterated import iterated
from labkit.data.constraints import Constraints
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.robustness_curve import RobustnessCurve


def robustness_curve(
    model: Classifier,
    data: Split,
    attacks: Sequence[Attack] | Attack | None = None,
    *,
    eps: Sequence[float],
    norm: str | None = None,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    background: Split | None = None,
    constraints: Constraints | Mapping[str, Any] | None = None,
) -> RobustnessCurve:
    """Each row's smallest known breaking budget, over all attacks: one pass serves the whole curve.

    Attacks run one after another, those with gradients first, and each sees only rows that still stand. One gradient
    step, PGD (2 starts), the Square attack (200 queries) and uniform noise (25 draws), or what stands in their place
    under other threat models, run beside those asked for. When gradients vanish or point nowhere, when more steps break
    more rows, or when gradients lose to an attack without them, stronger attacks follow: more steps, gradients of
    rescaled logits, straight through what is flat, from differences of answers, and Square with 2000 queries. If attacks
    without gradients still do better than gradient steps repeated, the record says "contradicted".

    A model that answers at random is asked 20 times for each answer, attacked through the mean, and asked once more about
    every row that it lost.

    Args:
        attacks: names, or functions of your own; None takes the usual ones for the threat model.
        eps: the budgets, in the data's units (for "edits" words, for "cost" the price of a change).
        norm: the threat model, one of ``labkit.records.attack.THREATS``; None takes "linf", for text "edits", for
            tables "cost". Attacks that name no norm, such as rotation_translation_scale, are one of their own.
        options: tunables by attack name, such as ``{"pgd": {"steps": 100}}``.
        background: rows of what inputs usually are, for the attacks that learn from them and for tables.
        constraints: what may change in a table.

    Returns:
        RobustnessCurve: bounds from above, with exact intervals and the evidence for the checks.

    Raises:
        Refused: as ``labkit.attack``; no attacks or budgets, or one of them twice.
    """
    check_classifier(model, "robustness_curve")
    budgets = as_budgets("robustness_curve", eps)
    norm = threat_of(listed(attacks), norm, model, data)
    chosen, controls = lined_up(attacks, options or {}, norm)
    about = {"attacks": [str(c.spec) for c in chosen], "eps": budgets.tolist(), "norm": norm}
    run = Run("robustness_curve", about, seed, model, batch_size=batch_size)
    ground = prepare(run, model, data, norm, seed, Situation(background, constraints))
    check_budgets(f"robustness_curve on {model.name}", ground, budgets.tolist())
    with unchanged(ground.model):
        campaign = Campaign(ground, budgets[budgets > 0])
        for attack in chosen:
            campaign.run(attack)
        stepping = next((c for c in chosen if c.steps and not c.asks_only), None)
        found: dict[str, Any] = evidence.gradients(ground) | {"optimizes": evidence.optimizes(ground)}
        found |= evidence.longer(ground, stepping, campaign.budgets, campaign.best(by_gradient=True))
        why = reasons(campaign, found)
        if why:
            found |= escalate(campaign, chosen, found, why)
        found |= evidence.other_scales(ground)
        # One step across the whole range overshoots on sound models too.
        whole = next((c for c in chosen if c.names_eps and c.name != ONE_STEP), None)
        found |= evidence.whole_range(campaign, whole) | evidence.larger(campaign, whole)
        found["asked_again"], found["came_back"] = campaign.look_again()
        levels = grid_levels(ground)
        kept = stored(ground, campaign.nearest, np.isfinite(campaign.reached) & ground.correct, levels)
    went = campaign.went
    record = RobustnessCurve(
        provenance=run.provenance(),
        warnings=_warnings(run, campaign),
        norm=norm,
        eps=budgets,
        attacks=tuple(went),
        specs=tuple(w.spec for w in went.values()),
        controls=controls,
        classes=model.classes,
        y=ground.y,
        label=ground.label,
        groups=dict(data.groups),
        broken_at=np.stack([w.broken_at for w in went.values()]),
        tried=np.stack([w.tried for w in went.values()]),
        is_gradient=np.array([w.by_gradient for w in went.values()]),
        queries=np.stack([w.queries for w in went.values()]),
        gradients=np.stack([w.gradients for w in went.values()]),
        nonfinite=np.array([w.nonfinite for w in went.values()]),
        thrown_away=np.array([w.thrown_away for w in went.values()]),
        asks=ground.asks,
        stored=kept,
        levels=levels,
        escalated="; ".join(why.values()),
        **found,
    )
    return _contradicted(record)


def _warnings(run: Run, campaign: Campaign) -> tuple[str, ...]:
    lost = {name: went.nonfinite for name, went in campaign.went.items() if went.nonfinite}
    if lost:
        each = ", ".join(f"{count} from {name}" for name, count in lost.items())
        run.warn(f"perturbed rows with NaN or infinite answers ({each}); these are not counted as broken")
    kept = {name: went.thrown_away for name, went in campaign.went.items() if went.thrown_away}
    for name, count in kept.items():
        run.warn(f"{name} met {count} successes on its way and gave other points back; they are counted all the same")
    return tuple(run.warnings)


def _contradicted(record: RobustnessCurve) -> RobustnessCurve:
    """Two ways of measuring that disagree make the record say so; the figure is the minimum over all attacks."""
    gradient, black_box = record.is_gradient, ~record.is_gradient
    if not black_box.any() or not (gradient & iterated(record.gradients, record.tried)).any():
        return record
    nearest = record.broken_at[gradient].min(0), record.broken_at[black_box].min(0)
    at = lost_to_black_box(*nearest, record.eps, record.correct)
    if at is None:
        return record
    left, other = (float(1 - record.broken(mask)[at].mean()) for mask in (gradient, np.ones(len(gradient), bool)))
    reason = (
        f"at eps {record.eps[at]:g} attacks with gradients leave {left:.2f} of the rows standing, attacks without them "
        f"{other:.2f}: the model's gradients mislead, and the figure is the minimum over all attacks."
    )
    return replace(record, status="contradicted", reason=reason)
