"""One attack on some rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.analyses._attacking import as_budgets, choose, grid_levels, prepare, refuse_without_values, stored, strike
from labkit.analyses._guard import DEFAULT_BATCH, Run, unchanged
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.attack import Adversarial


def attack(
    model: Classifier,
    data: Split,
    method: str | Callable[..., Any],
    *,
    eps: float | None = None,
    norm: str = "linf",
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    **options: Any,
) -> Adversarial:
    """Attack the rows that the model gets right, cut the result to the budget and the bounds, and ask the model again.

    Args:
        method: an attack's name (``labkit.names("attacks")``) or a function of your own.
        eps: the budget, in the data's units. Attacks that look for the smallest perturbation also do without.
        norm: "linf" or "l2".
        options: the attack's own tunables.

    Returns:
        Adversarial: rows before and after, success among the rows that were right, and robust accuracy over all.

    Raises:
        Refused: whatever preflight finds; labels far below chance; a budget in another unit; one class for every
            input; a norm that the attack does not know; a model of tables or text; an attack that gives no finite
            value.
    """
    chosen = choose(method, options, norm)
    if eps is None and chosen.names_eps:
        raise Refused(f"the attack {chosen.name}", "no budget", "eps=..., in the data's units")
    budgets = [] if eps is None else as_budgets("attack", eps).tolist()
    if len(budgets) > 1:
        raise Refused("attack", f"{len(budgets)} budgets", "one, or labkit.robustness_curve")
    eps = budgets[0] if budgets else None
    run = Run("attack", {"attack": str(chosen.spec), "eps": eps, "norm": norm}, seed, model, batch_size=batch_size)
    ground = prepare(run, model, data, norm, budgets, seed)
    rows = np.flatnonzero(ground.correct)
    adversarial, label, success = ground.x.copy(), ground.label.copy(), np.zeros(len(ground.x), bool)
    with unchanged(ground.model):
        found = strike(ground, chosen, rows, eps)
        refuse_without_values(chosen, found.lost, len(rows))
        adversarial[rows], label[rows], success[rows] = found.x, found.label, found.success
        levels = grid_levels(ground.x, ground.bounds)
        kept = stored(ground, adversarial, success, levels)
    lost = int((label < 0).sum())
    if lost:
        run.warn(
            f"the model's answers are NaN or infinite on {lost} perturbed rows; these are not counted as successes"
        )
    apart = (adversarial - ground.x).reshape(len(label), -1).astype(np.float64)
    return Adversarial(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        attack=chosen.name,
        spec=str(chosen.spec),
        norm=norm,
        eps=eps,
        classes=model.classes,
        x=ground.x,
        adversarial=adversarial,
        y=ground.y,
        clean=ground.label,
        label=label,
        success=success,
        stored=kept,
        linf=np.abs(apart).max(1),
        l2=np.linalg.norm(apart, axis=1),
        levels=levels,
        queries=found.queries,
        gradients=found.gradients,
    )
