"""One attack on some rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.analyses._attack.chosen import Attack, as_budgets, choose, supported_norms, threat_of
from labkit.analyses._attack.ground import Situation, prepare
from labkit.analyses._attack.strike import grid_levels, refuse_without_values, stored, strike
from labkit.analyses._attack.threats import check_budgets
from labkit.analyses._attack.wording import changes
from labkit.analyses._guard import DEFAULT_BATCH, Run, check_classifier, unchanged
from labkit.core.refused import Refused
from labkit.data.constraints import Constraints
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.attack import Adversarial


def attack(
    model: Classifier,
    data: Split,
    method: Attack,
    *,
    eps: float | None = None,
    norm: str | None = None,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    background: Split | None = None,
    constraints: Constraints | Mapping[str, Any] | None = None,
    **options: Any,
) -> Adversarial:
    """Attack the rows that the model gets right, cut the result to the budget and the bounds, and ask the model again.

    Args:
        method: an attack's name (``labkit.names("attacks")``) or a function of your own.
        eps: the budget, in the data's units. Attacks that look for the smallest perturbation also do without.
        norm: the threat model, one of ``labkit.records.attack.THREATS``; None takes "linf", for text "edits", for
            tables "cost", where the attack works under it, and else the attack's first.
        background: rows of what inputs usually are, for the attacks that learn from them and for tables.
        constraints: what may change in a table.
        options: the attack's own tunables.

    Returns:
        Adversarial: rows before and after, success among the rows that were right, and robust accuracy over all.

    Raises:
        Refused: whatever preflight finds; labels far below chance; a budget in another unit; one class for every
            input; a threat model that the attack or the model does not fit; an attack that gives no finite value.
    """
    check_classifier(model, "attack")
    usual = threat_of([method], norm, model, data)
    if norm is None and isinstance(method, str) and usual not in (known := supported_norms(method)) and known:
        usual = known[0]
    norm, chosen = usual, choose(method, options, usual)
    if eps is None and chosen.names_eps:
        raise Refused(f"the attack {chosen.name}", "no budget", "eps=..., in the data's units")
    budgets = [] if eps is None else as_budgets("attack", eps).tolist()
    if len(budgets) > 1:
        raise Refused("attack", f"{len(budgets)} budgets", "one, or labkit.robustness_curve")
    eps = budgets[0] if budgets else None
    run = Run("attack", {"attack": str(chosen.spec), "eps": eps, "norm": norm}, seed, model, batch_size=batch_size)
    ground = prepare(run, model, data, norm, seed, Situation(background, constraints))
    check_budgets(f"attack on {model.name}", ground, budgets)
    rows = np.flatnonzero(ground.correct)
    adversarial, label, success = ground.x.copy(), ground.label.copy(), np.zeros(len(ground.x), bool)
    with unchanged(ground.model):
        found = strike(ground, chosen, rows, eps)
        refuse_without_values(chosen, found.lost, len(rows))
        adversarial[rows], label[rows], success[rows] = found.x, found.label, found.success
        levels = grid_levels(ground)
        kept = stored(ground, adversarial, success, levels)
    lost = int((label < 0).sum())
    if lost:
        run.warn(
            f"the model's answers are NaN or infinite on {lost} perturbed rows; these are not counted as successes"
        )
    if found.given_up:
        run.warn(f"{found.given_up} rows came back changed beyond the budget; they were left as they were")
    if found.thrown_away:
        run.warn(f"{found.thrown_away} successes met on the way were not given back; they are counted all the same")
    if eps != 0 and np.array_equal(adversarial, ground.x):
        run.warn(f"{chosen.name} changed no row, so that robust accuracy says nothing but what accuracy does")
    far = ground.threat.distance
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
        levels=levels,
        distance=far(ground, np.arange(len(label)), adversarial) if far else np.full(len(label), np.nan),
        queries=round(float(found.queries.sum())),
        gradients=round(float(found.gradients.sum())),
        changes=changes(data.schema, ground.x, adversarial),
        thrown_away=found.thrown_away,
    )
