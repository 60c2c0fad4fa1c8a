"""From scores to what is stated: which attack, on which rows, and how often chance does as well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from labkit.core import method, registry, roc
from labkit.core.intervals import delong
from labkit.core.refused import Refused
from labkit.core.resampling import PART, share_as_large, stream

Score = Callable[..., np.ndarray]
DRAWS = 999
# What an outsider must have for what a score names.
SEES = {"logits": "probabilities", "label": "answers"}


def attacks(asked: str, methods: Any, on_offer: Collection[str]) -> dict[str, Score]:
    """The methods by their names; None takes every one that can be had with what is on offer.

    Raises:
        Refused: an unknown method, or one that needs more.
    """
    if methods is None:
        every = registry.several("membership", registry.names("membership"))
        return {name: score for name, score in every.items() if set(method.needs(score)) <= set(on_offer)}
    found = registry.several("membership", methods)
    if not found:
        raise Refused(asked, "no method", "methods=None, or names of " + ", ".join(registry.names("membership")))
    for name, score in found.items():
        missing = [n for n in method.needs(score) if n not in on_offer]
        if missing:
            given = f"nothing offers {', '.join(missing)} here; on offer: {', '.join(sorted(on_offer))}"
            instead = "shadow models of a model (shadows=16), or a method that needs only what is on offer"
            raise Refused(f"{asked} by {name}", given, instead)
    return found


def scores(
    asked: str, found: Mapping[str, Score], offered: Mapping[str, Any]
) -> tuple[list[method.Spec], list[str], np.ndarray]:
    """The methods with their options, what an outsider needs for each, and their (method, row) scores.

    Raises:
        Refused: scores that are not one finite number a row.
    """
    specs, needs, values = [], [], []
    for name, score in found.items():
        specs.append(method.bind("membership", name, score, {}))
        needs.append(_needs(method.needs(score)))
        value = np.asarray(method.call(score, specs[-1], offered), float)
        if value.shape != np.shape(offered["y"]) or not np.isfinite(value).all():
            given = f"scores of shape {value.shape}, {int((~np.isfinite(value)).sum())} of them not finite"
            raise Refused(f"{asked} by {name}", given, f"one finite number for each of {len(offered['y'])} rows")
        values.append(value)
    return specs, needs, np.stack(values)


def _needs(names: tuple[str, ...]) -> str:
    told = [words for name, words in SEES.items() if name in names] or ["answers"]
    told += ["the true label"] if "y" in names else []
    told += ["models trained on like rows"] if "shadow" in names else []
    return ", ".join(told)


def halves(member: np.ndarray, seed: int) -> np.ndarray:
    """(n,) half of the members and half of the others, at random: those that a choice is stated on."""
    draws, stated = stream(seed, "membership", "halves"), np.zeros(len(member), bool)
    for side in (member, ~member):
        rows = draws.permutation(np.flatnonzero(side))
        stated[rows[: (len(rows) + 1) // 2]] = True
    return stated


def choose(score: np.ndarray, member: np.ndarray, fpr: np.ndarray) -> int:
    """The method with the largest true positive rate at the smallest rate that these rows resolve; among equals, and where
    they resolve none, the one with the largest area."""
    fit = fpr[fpr >= roc.resolved(int((~member).sum()))]
    at = fit.min() if len(fit) else 1.0
    merits = [(roc.rate_at(s, member, at)[0][0], delong(member.astype(int), s)[0]) for s in score]
    return max(range(len(merits)), key=merits.__getitem__)


def chance(score: np.ndarray, member: np.ndarray, seed: int) -> float:
    """How often the largest area of all methods is as large when membership is dealt out at random."""
    from scipy.stats import rankdata

    rank = rankdata(score, axis=1)
    members, n = int(member.sum()), len(member)
    draws = stream(seed, "membership", "permuted")
    largest = [float((rank @ member).max())]
    for part in np.array_split(np.arange(DRAWS), max(1, DRAWS * n // PART)):
        dealt = draws.random((len(part), n)).argsort(1) < members
        largest += (rank @ dealt.T).max(0).tolist()
    return share_as_large(np.array(largest[1:]), largest[0])
