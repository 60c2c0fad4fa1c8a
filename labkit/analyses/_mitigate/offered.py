"""What a mitigation is offered of people: inputs, scores, features, a learner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from labkit.analyses._mitigate.encoding import encoding, telling
from labkit.analyses._mitigate.learners import learner as named
from labkit.analyses._mitigate.people import Given, Roles
from labkit.analyses._mitigate.sweep import Rule, Watched, decided
from labkit.core.refused import Refused
from labkit.records.predict import Predictions

LEARNER, MODEL = "unmitigated learner", "model as it is"


@dataclass(eq=False)
class Offered:
    """What is there.

    Attributes:
        fit: the learner on the people to train on; None without any, ``unfit`` says why.
        learn: arrays of the people to train on. held: arrays of all held-out people.
        bases: the rules without any method, on all held-out people (in ``state``): the model if there is one, the learner.
        reads: what of the group the inputs of the model hold.
    """

    fit: Watched | None
    unfit: str
    learn: dict[str, np.ndarray]
    held: dict[str, np.ndarray]
    bases: list[Rule]
    reads: str
    warnings: tuple[str, ...] = ()


def offered(
    given: Given, found: Roles, learner: Any, by: tuple[str, ...], positive: int, seed: int, must: bool
) -> Offered:
    """Everything that can be offered.

    Args:
        must: whether a learner that does not fit the data is refused; otherwise there is none.
    """
    p, train, held = given.p, given.train, given.held
    own = isinstance(learner, nn.Module) or learner == "own"
    arrays, learn = {"y": p.y, "group": found.grouping.code}, {}
    fit, unfit, reads = None, "no data to train on", "unknown"
    source = train if train is not None else held
    if source is not None and held is not None:
        told = telling(source, by)
        reads = "a column" if told else "nothing"
        if source.schema.modality not in ("text", "image+text"):
            blind = encoding(source, told)
            arrays["blind"] = blind(held.x)
            arrays["x"] = held.x if own else encoding(source)(held.x)
        elif own:
            arrays["x"] = held.x
    if train is not None:
        people = train[found.learn]
        learn = {"y": people.y, "group": found.learn_group}
        try:
            made = named(learner, people, seed, found.learn_group, given.model)
            learn["x"] = people.x if own else encoding(train)(people.x)
            learn |= {"blind": encoding(train, told)(people.x)} if "blind" in arrays else {}
            fit = Watched(made, learn["x"], learn["y"])
        except Refused as refusal:
            if must:
                raise
            learn, unfit = {}, refusal.given
    bases, warnings = [], []
    if given.answered:
        score, warned = _aligned(p, positive)
        chances = np.eye(len(p.classes))[p.label]
        bases.append(Rule(MODEL, "none", 0.0, ("x",), chances, chances, p.proba))
        arrays |= {} if score is None else {"score": score}
        warnings += warned
        features = given.features()
        arrays |= {} if features is None else {"features": features}
    if fit is not None:
        answer = fit.plain(arrays["x"])
        bases.append(Rule(LEARNER, "none", 0.0, ("x",), decided(answer), decided(answer), answer))
        arrays.setdefault("score", answer)
    return Offered(fit, unfit, learn, arrays, bases, reads, tuple(warnings))


def _aligned(p: Predictions, positive: int) -> tuple[np.ndarray | None, list[str]]:
    """Scores under which the likeliest class is the answer: of two classes, the odds over those at the threshold."""
    if p.proba is None or (p.proba.argmax(1) == p.label).all():
        return p.proba, []
    chance, chosen = p.proba[:, positive], p.label == positive
    if len(p.classes) > 2 or not chosen.any() or chosen.all() or chance[chosen].min() < chance[~chosen].max():
        return p.proba, ["the answers do not follow from the scores: rules of scores begin at the likeliest class"]
    cut = (chance[chosen].min() + chance[~chosen].max()) / 2
    own, other = chance * (1 - cut), (1 - chance) * cut
    moved = np.stack([other, own] if positive == 1 else [own, other], 1) / (own + other)[:, None]
    return moved, [f"the answers turn at a score of {cut:.3g}: rules of scores begin there"]
