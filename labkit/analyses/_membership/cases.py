"""What is known of the rows before any attack is tried: from a model and its data, or from predictions alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labkit.analyses._guard import Run, logits, unchanged
from labkit.analyses._membership import rows as drawing
from labkit.analyses._membership import shadows as training
from labkit.analyses._membership.blind import blind, told_apart
from labkit.analyses._predicted import Statement
from labkit.analyses._preflight import preflight
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.membership._signals import Population
from labkit.models.classifier import Classifier
from labkit.training.many import Fit

ASKED = "membership_inference"
ENOUGH = 16  # shadow models: fewer make a weak attack


@dataclass(frozen=True, eq=False)
class Case:
    """What is known of the rows before any method is asked.

    Attributes:
        offered: what methods may name, of the model; ``control``: of its copy that never learned.
        guesses: scores that never asked the model.
        told: fields of the record.
        pool: the rows themselves, where they are known.
    """

    drawn: drawing.Drawn
    offered: dict[str, Any]
    control: dict[str, Any]
    guesses: dict[str, np.ndarray]
    told: dict[str, Any]
    warnings: list[str]
    pool: Split | None = None


def of_model(
    run: Run,
    model: Classifier,
    data: Dataset,
    learner: Any,
    checkpoint: str | Path | None,
    shadows: int,
    fit: Fit,
    rows: int,
    seed: int,
    asked_for: bool,
) -> Case:
    """The rows, a guess without the model, and what the model, its untrained copy and shadow models answer.

    Shadow models are not trained in vain: not where a guess tells the sides apart, unless an attack that needs them was
    ``asked_for`` by name.
    """
    hashes = np.concatenate(drawing.hashes(data))
    drawn = drawing.draw(ASKED, hashes, (len(data.train), len(data.test)), rows, seed, aside=0.2)
    pool, population = drawn.among(data)
    if len(np.unique(pool.y)) < 2:
        raise Refused(ASKED, f"rows of the class {pool.classes[pool.y[0]]!r} alone", "data of two classes or more")
    preflight(run, model, pool.x, pool.y)
    guesses = blind(pool, drawn.member, seed)
    made, parts = None, [pool]
    if shadows and not asked_for and told_apart(guesses, drawn.member):
        shadows = 0
        run.warn("no shadow models were trained, since a guess without the model tells the two sides apart")
    if shadows:
        made = training.train_shadows(learner, model, pool, population, shadows, fit, seed, checkpoint)
        parts = [pool, population]
        if shadows < ENOUGH:
            run.warn(f"{shadows} shadow models make a weak attack, one with {ENOUGH} or more may recognize more rows")
    with unchanged(model):
        answers = [_finite(model, logits(run, model, part.x)) for part in parts]
    copy = training.untrained(model, learner, pool, seed)
    fresh = [logits(run, copy, part.x, "asking an untrained copy") for part in parts]
    offered, control = (
        {"logits": z[0], "label": z[0].argmax(1), "y": pool.y}
        | ({} if made is None else _outsider(made, z[1], population))
        for z in (answers, fresh)
    )
    told = {
        "model": model.name,
        "shadows": shadows,
        "shadow_rows": int(made.inside[0].sum()) if made else 0,
        "learner": made.learner.about if made else "",
        "population": len(population) if made else 0,
        "classes": model.classes,
    }
    return Case(drawn, offered, control, guesses, told, run.warnings, pool)


def _outsider(made: training.Shadows, further: np.ndarray, population: Split) -> dict[str, Any]:
    """What methods may name of shadow models."""
    return {
        "shadow": made.rows,
        "inside": made.inside,
        "population": Population(further, made.population, population.y),
    }


def of_predictions(given: Any, data: Any, options: dict[str, Any], seed: int) -> tuple[Statement, Case]:
    if len(given) != 2 or data is not None:
        raise Refused(
            ASKED, f"{len(given)} predictions{' and data' * (data is not None)}", "(on training, on test rows)"
        )
    train, test = given
    statement = Statement(ASKED, options, seed, {"training predictions": train, "test predictions": test})
    if train.classes != test.classes or len(train.classes) < 2:
        given = f"classes {list(train.classes)[:4]} in training and {list(test.classes)[:4]} in test predictions"
        raise Refused(ASKED, given, "predictions over the same classes, two or more, in the same order")
    known = train.row is not None and test.row is not None
    hashes = np.concatenate([train.row, test.row]) if known else None
    drawn = drawing.draw(ASKED, hashes, (len(train), len(test)), options["rows"], seed)
    inside, outside = (drawn.position[side] for side in (drawn.member, ~drawn.member))

    def both(part: str) -> np.ndarray:
        return np.concatenate([getattr(train, part)[inside], getattr(test, part)[outside]])

    warnings = [*train.warnings, *test.warnings]
    warnings.append(
        "inputs are not known, so that nothing tells whether a guess that never asks the model does as well"
    )
    offered = {"y": both("y"), "label": both("label")}
    if train.proba is not None and test.proba is not None:
        offered["logits"] = np.log(np.maximum(both("proba"), np.finfo(float).tiny))
    else:
        warnings.append("probabilities are missing: only right and wrong answers tell members from others")
    told = {"model": "answers", "shadows": 0, "shadow_rows": 0, "learner": "", "population": 0}
    return statement, Case(drawn, offered, {}, {}, told | {"classes": train.classes}, warnings)


def _finite(model: Classifier, out: np.ndarray) -> np.ndarray:
    bad = np.flatnonzero(~np.isfinite(out).all(1))
    if len(bad):
        given = f"outputs that are NaN or infinite on {len(bad)} of {len(out)} rows"
        raise Refused(f"{ASKED} on {model.name}", given, "a model with finite outputs on every row")
    return out
