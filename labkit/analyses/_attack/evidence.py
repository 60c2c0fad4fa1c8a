"""Proof that the attacks worked, or that they did not: what the checks of a robustness curve need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.analyses._attack.campaign import Campaign
from labkit.analyses._attack.chosen import Chosen
from labkit.analyses._attack.ground import Ground
from labkit.analyses._attack.strike import strike
from labkit.analyses._attack.threats import BALLS
from labkit.analyses._attack.ways import as_it_is
from labkit.analyses._guard import batched, logits
from labkit.attacks._search import climb, drawn, margin

SAMPLE = 64
NEARBY = 1e-3
ENOUGH_STEPS = 40
_LONGER = tuple(f"longer{part}" for part in ("", "_steps", "_eps", "_rows", "_before", "_more"))


def gradients(ground: Ground) -> dict[str, np.ndarray]:
    """The largest gradient of cross-entropy and margin at each clean row, and how stable the margin's direction is.

    Gradients are over the whole input range, so that the unit of the inputs does not matter; over the range of the rows
    where the inputs have no bounds. Clean errors get nan, and so does everything where inputs are no numbers.
    """
    found = np.full((len(ground.x), 3), np.nan)
    rows = np.flatnonzero(ground.correct)
    if "continuous" not in ground.model.capabilities:
        return dict(zip(("loss_gradient", "margin_gradient", "cosine"), found.T))
    x, y, draws = ground.x[rows], ground.y[rows], ground.draws[rows]
    span = ground.span if ground.model.bounds else float(np.ptp(ground.x)) or 1.0

    def evidence(part: slice) -> Tensor:
        here, labels = ground.model.tensor(x[part]).clone(), ground.model.tensor(y[part])
        near = here + NEARBY * span * drawn(draws[part].normal(*x.shape[1:]), here).to(here.dtype)
        loss, lead, lead_near = (
            _gradient(ground, v, labels, kind).flatten(1)
            for v, kind in ((here, "loss"), (here, "margin"), (near, "margin"))
        )
        cosine = F.cosine_similarity(lead, lead_near, eps=1e-30)
        cosine[(lead.abs().amax(1) == 0) | (lead_near.abs().amax(1) == 0)] = torch.nan
        return torch.stack([loss.abs().amax(1) * span, lead.abs().amax(1) * span, cosine], 1).double()

    found[rows] = batched(ground.run, "gradients", evidence, len(rows)).numpy()
    return {"loss_gradient": found[:, 0], "margin_gradient": found[:, 1], "cosine": found[:, 2]}


def _gradient(ground: Ground, v: Tensor, y: Tensor, kind: str) -> Tensor:
    z, forward = ground.model.relax(v)
    z = z.detach().requires_grad_()
    logits = forward(z).float()
    loss = F.cross_entropy(logits, y, reduction="sum") if kind == "loss" else margin(logits, y).sum()
    return climb(loss, z)


def typical_lead(ground: Ground) -> float:
    """The median lead of the true logit on the clean rows: dividing logits by it brings a saturated loss back."""
    rows = np.flatnonzero(ground.correct)

    def leads(part: slice) -> Tensor:
        x, y = ground.model.tensor(ground.x[rows[part]]), ground.model.tensor(ground.y[rows[part]])
        return -margin(ground.model(x).float(), y)

    with torch.no_grad():
        return max(1e-6, float(batched(ground.run, "leads", leads, len(rows)).median()))


def longer(ground: Ground, chosen: Chosen | None, budgets: np.ndarray, broken_at: np.ndarray) -> dict[str, Any]:
    """Twice the steps, and 40 at least, at the budget where about half of the rows stand: do more of a sample break?"""
    if chosen is None or not len(budgets):
        return dict(zip(_LONGER, ("", 0, 0.0, 0, 0, 0), strict=True))
    sample = np.flatnonzero(ground.correct)[: 2 * SAMPLE]
    standing = np.array([(broken_at[sample] > e).mean() for e in budgets])
    at = float(budgets[np.abs(standing - 0.5).argmin()])
    rows, tried = sample[broken_at[sample] > at], with_more_steps(chosen)
    more = int(strike(ground, tried, rows, at).success.sum()) if len(rows) else 0
    return dict(zip(_LONGER, (chosen.name, tried.steps, at, len(sample), len(sample) - len(rows), more), strict=True))


def with_more_steps(chosen: Chosen) -> Chosen:
    """The same attack with twice the steps, and 40 at least."""
    steps = max(2 * (chosen.steps or 0), ENOUGH_STEPS)
    return replace(chosen, spec=replace(chosen.spec, options={**chosen.spec.options, "steps": steps}))


def whole_range(campaign: Campaign, chosen: Chosen | None) -> dict[str, Any]:
    """An attack given the whole input range must break every row of a sample."""
    ground = campaign.ground
    if chosen is None or ground.threat.whole is None:
        return {"whole": "", "whole_rows": 0, "whole_standing": 0}
    chosen, way = campaign.cure or (chosen, as_it_is)
    rows = np.flatnonzero(ground.correct)[:SAMPLE]
    standing = int((~strike(ground, chosen, rows, ground.threat.whole(ground), way=way).success).sum())
    return {"whole": chosen.name, "whole_rows": len(rows), "whole_standing": standing}


def larger(campaign: Campaign, chosen: Chosen | None) -> dict[str, Any]:
    """An attack given the largest budget must break what was broken at a smaller one."""
    if chosen is None or len(campaign.budgets) < 2:
        return {"larger": "", "larger_rows": 0, "larger_standing": 0}
    chosen, way = campaign.cure or (chosen, as_it_is)
    at = campaign.went[chosen.name].broken_at
    rows = np.flatnonzero(campaign.ground.correct & (at < campaign.budgets[-1]))[:SAMPLE]
    standing = 0
    if len(rows):
        standing = int((~strike(campaign.ground, chosen, rows, float(campaign.budgets[-1]), way=way).success).sum())
    return {"larger": chosen.name, "larger_rows": len(rows), "larger_standing": standing}


def optimizes(ground: Ground) -> int:
    """How many gradients the model itself takes to answer one batch of rows."""
    with torch.no_grad(), _counted() as calls:
        ground.model(ground.model.tensor(ground.x[:8]))
    return len(calls)


@contextmanager
def _counted() -> Iterator[list[str]]:
    calls: list[str] = []
    before = torch.autograd.grad, torch.autograd.backward

    def grad(*args: Any, **options: Any) -> Any:
        calls.append("grad")
        return before[0](*args, **options)

    def backward(*args: Any, **options: Any) -> Any:
        calls.append("backward")
        return before[1](*args, **options)

    torch.autograd.grad, torch.autograd.backward = grad, backward  # type: ignore[assignment]
    try:
        yield calls
    finally:
        torch.autograd.grad, torch.autograd.backward = before  # type: ignore[assignment]


def other_scales(ground: Ground) -> dict[str, Any]:
    """Rows that the model gets right only, and wrong only, when their values are standardized or stretched to 0..1: a
    normalisation that is missing, or applied twice, shows as a gain."""
    names, gained, lost = [], [], []
    if ground.norm in BALLS and ground.x.ndim == 4:
        x = ground.x.astype(np.float64)
        spread = x.std((0, 2, 3), keepdims=True)
        ways = {"standardized": (x - x.mean((0, 2, 3), keepdims=True)) / np.where(spread > 0, spread, 1)}
        if x.min() < -0.01 or x.max() > 1.01:
            ways["stretched to 0..1"] = (x - x.min()) / (np.ptp(x) or 1)
        for name, values in ways.items():
            z = logits(ground.run, ground.model, values.astype(ground.x.dtype), name)
            right = np.isfinite(z).all(1) & (z.argmax(1) == ground.y)
            names.append(name)
            gained.append(int((right & ~ground.correct).sum()))
            lost.append(int((~right & ground.correct).sum()))
    return {"scales": tuple(names), "scale_gained": np.array(gained, int), "scale_lost": np.array(lost, int)}
