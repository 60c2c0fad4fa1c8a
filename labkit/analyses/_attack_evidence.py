"""Proof that the attacks worked, or that they did not: what the checks of a robustness curve need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.analyses._attacking import Chosen, Ground, strike
from labkit.analyses._guard import batched
from labkit.attacks._search import climb, drawn, margin
from labkit.core import method

SAMPLE = 64
NEARBY = 1e-3
ENOUGH_STEPS = 40
_LONGER = tuple(f"longer{part}" for part in ("", "_steps", "_eps", "_rows", "_before", "_more"))


def gradients(ground: Ground) -> dict[str, np.ndarray]:
    """The largest gradient of cross-entropy and margin at each clean row, and how stable the margin's direction is.

    Gradients are over the whole input range, so that the unit of the inputs does not matter. Clean errors get nan.
    """
    rows = np.flatnonzero(ground.correct)
    x, y, draws = ground.x[rows], ground.y[rows], ground.draws[rows]

    def evidence(part: slice) -> Tensor:
        here, labels = ground.model.tensor(x[part]).clone(), ground.model.tensor(y[part])
        near = here + NEARBY * ground.span * drawn(draws[part].normal(*x.shape[1:]), here)
        loss, lead, lead_near = (
            _gradient(ground, v, labels, kind).flatten(1)
            for v, kind in ((here, "loss"), (here, "margin"), (near, "margin"))
        )
        cosine = F.cosine_similarity(lead, lead_near, eps=1e-30)
        cosine[(lead.abs().amax(1) == 0) | (lead_near.abs().amax(1) == 0)] = torch.nan
        return torch.stack([loss.abs().amax(1) * ground.span, lead.abs().amax(1) * ground.span, cosine], 1).double()

    found = np.full((len(ground.x), 3), np.nan)
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


def longer(ground: Ground, chosen: Chosen | None, eps: np.ndarray, broken_at: np.ndarray) -> dict[str, object]:
    """Twice the steps, and 40 at least, at the budget where about half of the rows stand: do more of a sample break?"""
    if chosen is None or not len(eps):
        return dict(zip(_LONGER, ("", 0, 0.0, 0, 0, 0), strict=True))
    sample = np.flatnonzero(ground.correct)[: 2 * SAMPLE]
    standing = np.array([(broken_at[sample] > e).mean() for e in eps])
    at = float(eps[np.abs(standing - 0.5).argmin()])
    rows = sample[broken_at[sample] > at]
    steps = max(2 * chosen.spec.options["steps"], ENOUGH_STEPS)
    tried = replace(chosen, spec=replace(chosen.spec, options={**chosen.spec.options, "steps": steps}))
    more = int(strike(ground, tried, rows, at).success.sum()) if len(rows) else 0
    return dict(zip(_LONGER, (chosen.name, steps, at, len(sample), len(sample) - len(rows), more), strict=True))


def whole_range(ground: Ground, chosen: Chosen | None) -> dict[str, object]:
    """An attack given the whole input range must break every row of a sample."""
    if chosen is None:
        return {"whole": "", "whole_rows": 0, "whole_standing": 0}
    rows = np.flatnonzero(ground.correct)[:SAMPLE]
    standing = int((~strike(ground, chosen, rows, ground.whole_eps).success).sum())
    return {"whole": chosen.name, "whole_rows": len(rows), "whole_standing": standing}


def has_steps(chosen: Chosen) -> bool:
    """Whether an attack takes a number of steps that can be raised."""
    return chosen.names_eps and any(p.name == "steps" and p.type is int for p in method.params(chosen.function))
