"""Does a model know which of its answers are wrong?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import Grouping, offered
from labkit.analyses._predicted import Statement
from labkit.core import resampling
from labkit.core.intervals import clopper_pearson
from labkit.core.refused import Refused
from labkit.records.abstention import Abstention
from labkit.records.predict import Predictions

ASKED = "abstention"
POINTS = 201
# Draws take the confidences in so many levels.
LEVELS = 256
# The rules among which one with a guarantee is looked for: these shares of the rows are answered, or a little fewer.
COVERAGES = np.arange(1, 21) / 20


@dataclass(frozen=True)
class _Order:
    """Distinct confidences from the highest down, with the rows and the errors of each."""

    confidence: np.ndarray
    n: np.ndarray
    wrong: np.ndarray


def abstention(
    p: Predictions,
    *,
    risks: Sequence[float] | float = (0.01, 0.05, 0.1),
    delta: float = 0.05,
    by: str | Sequence[str | tuple[str, ...]] | None = None,
    seed: int = 0,
    replicates: int = 1000,
) -> Abstention:
    """Risk-coverage curve: errors among the answers that remain when the least confident are withheld.

    Confidence is the stated probability of the answer. The area under the curve is the mean risk over all coverages
    (AURC; beside that of the best order E-AURC: Geifman, Uziel and El-Yaniv, 2019, arXiv 1805.08206); of rows with one
    confidence it takes the mean over all their orders, so that the order of the data does not matter. The control is a
    confidence that says nothing: it leaves the risk where it is, and its band is that of errors in random order.

    For each risk wanted, the largest coverage is looked for at which an exact binomial bound keeps the risk, as selection
    with guaranteed risk does (Geifman and El-Yaniv, 2017, arXiv 1705.08500). Here 20 coverages, fixed beforehand, are
    tried, each at ``delta / 20``, so that the guarantee does not depend on how the search went. It holds for new rows from
    the same source as these.

    By group: how much of each is answered when the least confident of all rows are withheld, and the errors among that.
    Withholding can help all together and harm a group (Jones et al., 2021, arXiv 2010.14134).

    Args:
        risks: shares of errors among the answers, between 0 and 1, that would be accepted.
        delta: how often such a guarantee may fail, over data sets.
        by: sensitive features; None takes those of the predictions, but for any with too many small groups.
        replicates: bootstrap and permutation draws.

    Raises:
        Refused: predictions without probabilities; a risk or a delta that is not between 0 and 1.
    """
    wanted = _shares("risks", risks)
    _shares("delta", delta)
    options = {"risks": wanted, "delta": delta, "by": by, "replicates": replicates}
    statement = Statement(ASKED, options, seed, {"data": p})
    if p.proba is None:
        given = "predictions with labels only"
        raise Refused(ASKED, given, "probabilities: labkit.predict, or from_frame with score= or proba=")
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    confidence = p.proba[np.arange(len(p)), p.label].astype(float)
    wrong = p.label != p.y
    warnings = list(p.warnings)
    features = offered(ASKED, p, by, warnings)
    return Abstention(
        provenance=statement.provenance(),
        warnings=tuple(warnings),
        n=len(p),
        errors=int(wrong.sum()),
        replicates=replicates,
        delta=delta,
        **_curve(_order(confidence, wrong), replicates, resampling.stream(seed, ASKED, "band")),
        **_areas(confidence, wrong, replicates, seed),
        **_guaranteed(confidence, wrong, wanted, delta),
        **_groups(confidence, wrong, features),
    )


def _shares(name: str, given: Any) -> list[float]:
    try:
        found = np.atleast_1d(np.asarray(given, float)).tolist()
    except (TypeError, ValueError):
        found = []
    if not found or not all(0 < v < 1 for v in found):
        raise Refused(f"{ASKED} with {name}={given!r:.60}", repr(given)[:60], "numbers between 0 and 1")
    return found


def _order(confidence: np.ndarray, wrong: np.ndarray) -> _Order:
    value, code = np.unique(-confidence, return_inverse=True)
    return _Order(-value, np.bincount(code), np.bincount(code, wrong).astype(np.int64))


def _curve(order: _Order, replicates: int, generator: np.random.Generator) -> dict[str, Any]:
    kept, wrong, last = np.cumsum(order.n), np.cumsum(order.wrong), len(order.n) - 1
    at = np.unique(np.linspace(0, last, min(POINTS, last + 1)).round().astype(int))
    kept, wrong = kept[at], wrong[at]
    drawn = generator.hypergeometric(order.wrong.sum(), (order.n - order.wrong).sum(), kept, (replicates, len(kept)))
    low, high = np.quantile(drawn / kept, (0.025, 0.975), axis=0)
    return {"threshold": order.confidence[at], "kept": kept, "wrong": wrong, "random_low": low, "random_high": high}


def area(n: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The mean risk over the coverages 1/N, 2/N ... 1 of (..., levels) rows and errors, the most confident level first.

    Within a level the errors come in any order, and the mean over all orders is taken.
    """
    total = int(n.sum(-1).max())
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, total + 1))])
    after, errors = np.cumsum(n, -1), np.cumsum(wrong, -1)
    rate = np.divide(wrong, n, out=np.zeros(n.shape), where=n > 0)
    # after i rows, (errors + (i - after) * rate) / i, summed over the level
    steps = harmonic[after] - harmonic[after - n]
    return np.asarray((n * rate + (errors - after * rate) * steps).sum(-1) / total)


def _areas(confidence: np.ndarray, wrong: np.ndarray, replicates: int, seed: int) -> dict[str, Any]:
    order, rough = _order(confidence, wrong), _order(resampling.coarse(confidence, LEVELS), wrong)
    own, errors = float(area(order.n, order.wrong)), int(wrong.sum())
    best = float(_best(len(wrong), np.array(errors)))
    cells = np.concatenate([rough.wrong, rough.n - rough.wrong])
    drawn = resampling.bootstrap_counts(cells, replicates, resampling.stream(seed, ASKED, "area"))
    mistaken = drawn[:, : len(rough.n)]
    areas = area(mistaken + drawn[:, len(rough.n) :], mistaken)
    bests = _best(len(wrong), mistaken.sum(1))
    null = resampling.stream(seed, ASKED, "null").multivariate_hypergeometric(rough.n, errors, replicates)
    shuffled = area(np.broadcast_to(rough.n, null.shape), null)
    low, high = resampling.bias_corrected(areas, own)
    over, under = resampling.bias_corrected(areas - bests, own - best)
    return {
        "aurc": (own, low, high),
        "best": best,
        "excess": (own - best, over, under),
        "random": errors / len(wrong),
        "random05": float(np.quantile(shuffled, 0.05)),
        "p": resampling.share_as_large(-shuffled, -float(area(rough.n, rough.wrong))),
    }


def _best(n: int, errors: np.ndarray) -> np.ndarray:
    """The area when all errors come last."""
    return area(np.stack([n - errors, errors], -1), np.stack([0 * errors, errors], -1))


def _above(confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(coverage,) confidences, and (coverage, n) which rows lie above each; at full coverage all rows do.

    Above and not at: given the confidence at some rank, the rows above it are a sample of all that lie above it, which is
    what the exact bound is for.
    """
    rank = np.ceil(COVERAGES * len(confidence)).astype(int)
    at = np.append(-np.sort(-confidence)[rank[:-1] - 1], -1.0)
    return at, confidence > at[:, None]


def _guaranteed(confidence: np.ndarray, wrong: np.ndarray, risks: Sequence[float], delta: float) -> dict[str, Any]:
    at, above = _above(confidence)
    kept, mistaken = above.sum(1), (above & wrong).sum(1)
    bound = clopper_pearson(mistaken, kept, 1 - 2 * delta / len(COVERAGES))[1]
    found = [np.flatnonzero(bound <= risk) for risk in risks]
    last = np.array([rows[-1] if len(rows) else -1 for rows in found], np.int64)
    share = np.divide(mistaken, kept, out=np.full(len(kept), np.nan), where=kept > 0)
    some = last >= 0
    return {
        "wanted": np.array(risks, float),
        "least_confidence": np.where(some, at[last], np.nan),
        "coverage": np.where(some, kept[last] / len(wrong), 0.0),
        "risk": np.where(some, share[last], np.nan),
        "risk_bound": np.where(some, bound[last], np.nan),
    }


def _groups(confidence: np.ndarray, wrong: np.ndarray, features: Sequence[Grouping]) -> dict[str, Any]:
    _, above = _above(confidence)
    members = [f.code == g for f in features for g in range(len(f.groups))]
    member = np.array(members, bool).reshape(len(members), len(wrong))
    return {
        "asked": COVERAGES,
        "features": tuple(f.name for f in features),
        "group": np.array([name for f in features for name in f.groups], str),
        "feature_of": np.repeat(np.arange(len(features)), [len(f.groups) for f in features]),
        "size": member.sum(1),
        "answered": np.stack([(member & row).sum(1) for row in above], 1),
        "mistaken": np.stack([(member & row & wrong).sum(1) for row in above], 1),
    }
