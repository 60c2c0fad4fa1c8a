"""When the attacks look weak: why, and what is tried then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses._attack import evidence, ways
from labkit.analyses._attack.campaign import Campaign
from labkit.analyses._attack.chosen import Chosen, choose, supported_norms
from labkit.analyses._attack.controls import BLACK_BOX, ONE_STEP
from labkit.checks._allowance import allowed

VANISHING = 1e-9
CONVERGED = 0.02
# Gradients from differences: how far to look on both sides, as a share of the input range, and along how many directions.
NEARBY, DIRECTIONS = 0.02, 64


def lost_to_black_box(gradient: np.ndarray, black_box: np.ndarray, eps: np.ndarray, correct: np.ndarray) -> int | None:
    """The budget's position at which attacks without gradients win by the most rows, if by more than chance allows."""
    only = ((black_box <= eps[:, None]) & (gradient > eps[:, None]) & correct).sum(1)
    worst = int(only.argmax())
    return worst if only[worst] > allowed(int(correct.sum()), 0.02) else None


def reasons(campaign: Campaign, found: Mapping[str, Any]) -> dict[str, str]:
    """Why the attacks so far may be too weak, by kind of sign; nothing when nothing says so."""
    ground, why = campaign.ground, {}
    n, vanished = int(ground.correct.sum()), _vanished(found, "loss")
    cosine = float(np.nanmean(found["cosine"])) if np.isfinite(found["cosine"]).any() else 1.0
    if vanished > 0.05 * n:
        why["flat"] = f"the loss gradient vanishes on {vanished} of {n} rows"
    if cosine < 0.5:
        why["noise"] = f"gradients at points 0.001 apart have a mean cosine of {cosine:.2f}"
    if campaign.iterated().any() and len(campaign.budgets):
        pair = campaign.best(by_gradient=True), campaign.best(by_gradient=False)
        at = lost_to_black_box(*pair, campaign.budgets, ground.correct)
        if at is not None:
            why["black box"] = f"attacks without gradients broke more rows at eps {campaign.budgets[at]:g}"
    if found["optimizes"]:
        why["optimizes"] = "the model takes gradients of its own while it answers"
    if found["longer_rows"] and found["longer_more"] > CONVERGED * found["longer_rows"]:
        why["steps"] = f"{found['longer_steps']} steps broke {found['longer_more']} more of {found['longer_rows']} rows"
    return why


def _vanished(found: Mapping[str, Any], kind: str) -> int:
    return int((found[f"{kind}_gradient"] < VANISHING).sum())


def escalate(
    campaign: Campaign, chosen: Sequence[Chosen], found: Mapping[str, Any], why: Mapping[str, str]
) -> dict[str, Any]:
    """Stronger attacks on the rows that stand: more steps; gradients in other ways, as far as what is wrong with them
    calls for it; Square with ten times the queries.

    Returns what has changed in the evidence.
    """
    ground, now = campaign.ground, {}
    stepping = [c for c in chosen if c.steps and not c.asks_only and c.name != ONE_STEP]
    if stepping and "steps" in why:
        more = evidence.with_more_steps(stepping[0])
        more = replace(more, name=f"{more.name} with {more.steps} steps")
        campaign.run(more)
        now = evidence.longer(ground, more, campaign.budgets, campaign.best(by_gradient=True))
    if not set(why) - {"steps"}:
        return now
    if stepping and "gradients" in ground.model.capabilities:
        for name, way in _ways(campaign, found, why).items():
            if not (campaign.best(by_gradient=True) > campaign.budgets.max(initial=0)).any():
                break
            try:
                _by_another_way(campaign, stepping, name, way)
            except (RuntimeError, TypeError, IndexError, ValueError):
                ground.run.warn(f"{name} could not be tried: the model does not run so")
    if ground.norm in supported_norms(BLACK_BOX):
        square = choose(BLACK_BOX, {"queries": 2000}, ground.norm)
        campaign.run(replace(square, name=f"{BLACK_BOX} with more queries"))
    return now


def _by_another_way(campaign: Campaign, stepping: Sequence[Chosen], name: str, way: ways.Way) -> None:
    """The first attack by other gradients; where these help, the others too, on the rows that still stand."""
    first, *others = (replace(each, name=f"{each.name}, {name}") for each in stepping)
    campaign.run(first, way=way)
    if campaign.cure and campaign.cure[1] is way:
        for each in others:
            campaign.run(each, way=way, known=campaign.reached)


def _ways(campaign: Campaign, found: Mapping[str, Any], why: Mapping[str, str]) -> dict[str, ways.Way]:
    """Other gradients: of rescaled logits where only the loss is flat; else straight through what is flat, and from
    differences of answers, which need no gradient at all."""
    ground = campaign.ground
    if "flat" in why and _vanished(found, "margin") <= 0.05 * int(ground.correct.sum()):
        tried: dict[str, ways.Way] = {"logits rescaled": ways.rescaled(evidence.typical_lead(ground))}
        if not set(why) - {"flat", "steps"}:
            return tried
    else:
        tried = {} if "noise" in why else {"straight through": ways.straight_through}
    if ground.model.bounds and "continuous" in ground.model.capabilities:
        run = ground.run
        way = ways.differences(NEARBY * ground.span, DIRECTIONS, run.batch_size, run.seed or 0)
        tried["gradients from differences"] = way
    return tried
