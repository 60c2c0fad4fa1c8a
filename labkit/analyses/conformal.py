"""Which classes may it be? Sets that hold the true class as often as promised, and for whom they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import Grouping, offered
from labkit.analyses._halves import Rows, others, rows_of
from labkit.analyses._predicted import Statement
from labkit.core import intervals, resampling
from labkit.core.draws import Draws
from labkit.core.refused import Refused, unknown
from labkit.records.conformal import CLASS, Conformal, Method, inside, nonconformity
from labkit.records.predict import Predictions

ASKED = "conformal"
METHODS = ("lac", "aps", "raps")
LEAST = 30  # rows to calibrate on and to state on at least
# Draws of coverages where thresholds differ by class; with one threshold they are exact.
DRAWS = 20_000


def conformal(
    p: Predictions,
    *,
    level: float = 0.9,
    method: Method = "lac",
    calibrated_on: Predictions | None = None,
    by: str | Sequence[str | tuple[str, ...]] | None = None,
    per_class: bool = False,
    penalty: float = 0.01,
    spared: int = 2,
    least: int = 30,
    seed: int = 0,
) -> Conformal:
    """Split-conformal prediction sets (Vovk, Gammerman and Shafer, 2005, doi 10.1007/b106715), and their coverage and size.

    A threshold is set on some rows so that a class is in the set of a new row where it fits no worse than the share ``level``
    of true classes did. If rows are exchangeable, coverage is then at least ``level`` on average over all of them; given
    the calibration it scatters as a beta distribution (Vovk, 2012, arXiv 1209.2673), which the band allows for. Nothing is
    promised for a group, a class or a size of set: these are measured. Ties are broken at random, so that the distribution
    is exact.

    Args:
        p: what is stated. Without ``calibrated_on`` one half at random sets the threshold and the other is stated on.
        level: the coverage wanted, between 0 and 1.
        method: "lac", the smallest sets (Sadinle, Lei and Wasserman, 2019, arXiv 1609.00451); "aps", larger where rows are
            harder (Romano, Sesia and Candès, 2020, arXiv 2006.02544); "raps", the same with a ``penalty`` for each class
            beyond the ``spared`` most probable (Angelopoulos et al., 2021, arXiv 2009.14193).
        calibrated_on: predictions of the same model on other rows; rows whose inputs stand in ``p`` too are left out.
        by: sensitive features; None takes those of the predictions, but for any with too many small groups.
        per_class: a threshold for each class, so that the promise holds in each (Mondrian; sets grow).
        least: classes and groups with fewer rows are shown and not judged.

    Raises:
        Refused: predictions without probabilities or truth; a level that is not between 0 and 1, or is beyond what so many
            rows can promise; fewer than 30 rows to calibrate on or to state on; rows of one class to calibrate on; the same
            predictions twice.
    """
    _asked(level, method, penalty, spared)
    options: dict[str, Any] = {"level": level, "method": method, "by": by, "per_class": per_class, "least": least}
    options |= {"penalty": penalty, "spared": spared} if method == "raps" else {}
    sources = {"data": p} | ({} if calibrated_on is None else {"calibrated_on": calibrated_on})
    statement = Statement(ASKED, options, seed, sources)
    warnings = list(p.warnings)
    rows, held = rows_of(ASKED, p), np.ones(len(p), bool)
    if calibrated_on is None:
        held = rows.half(seed)
        source = rows.part(~held)
    else:
        source = others(ASKED, p, calibrated_on, warnings)
    source.require(LEAST, "calibrate on")
    rows = rows.part(held)
    if len(rows) < LEAST:
        raise Refused(ASKED, f"{len(rows)} rows to state on", f"at least {LEAST}; where halves are made, twice as many")

    def scored(of: Rows, number: int) -> tuple[np.ndarray, np.ndarray]:
        # a number a row that goes with its input, so that the order of the rows does not matter
        chance = Draws(seed, of.key).spawn(number).uniform().astype(float)
        return nonconformity(of.proba, method, chance, penalty, spared), chance

    scores, chance = scored(source, 0)
    own = scores[np.arange(len(source)), source.y]
    strata = [source.y == c for c in range(len(p.classes))] if per_class else [np.ones(len(source), bool)]
    limits = np.array([_threshold(own[s], chance[s], level) for s in strata])
    calibration = np.array([int(s.sum()) for s in strata])
    _enough(calibration, level, p.classes, per_class, warnings)
    scores, chance = scored(rows, 1)
    sets = inside(scores, chance[:, None], limits[:, 0], limits[:, 1])
    covered, size = sets[np.arange(len(rows)), rows.y], sets.sum(1)
    stratum = rows.y if per_class else np.zeros(len(rows), np.int64)
    features = [
        Grouping(CLASS, p.classes, rows.y),
        *(Grouping(f.name, f.groups, f.code[held]) for f in offered(ASKED, p, by, warnings)),
    ]
    null = _Null(calibration, level, resampling.stream(seed, ASKED))
    band_low, band_high, p_low, p_high = null.of(np.bincount(stratum, minlength=len(strata)), int(covered.sum()))
    low, high = intervals.wilson(covered.sum(), len(rows))
    counts = np.bincount(size, minlength=len(p.classes) + 1)
    return Conformal(
        provenance=statement.provenance(),
        warnings=tuple(warnings),
        method=method,
        level=level,
        penalty=penalty,
        spared=spared,
        per_class=per_class,
        classes=p.classes,
        n=len(rows),
        calibrated_on=len(source),
        crossed=calibrated_on is None,
        least=least,
        threshold=limits[:, 0],
        tie=limits[:, 1],
        calibration=calibration,
        coverage=(float(covered.mean()), float(low), float(high)),
        band_low=band_low,
        band_high=band_high,
        p_low=p_low,
        p_high=p_high,
        size=(float(size.mean()), *_mean_size(size)),
        sizes=np.arange(len(counts)),
        sized=counts,
        covered_of_size=np.bincount(size, covered, len(counts)).astype(np.int64),
        **_cells(features, covered, size, stratum, null, least),
    )


def _asked(level: float, method: str, penalty: float, spared: int) -> None:
    if method not in METHODS:
        raise unknown(f"{ASKED} by a method", method, METHODS)
    number = isinstance(level, int | float | np.floating) and not isinstance(level, bool)
    if not number or not 0 < level < 1:
        raise Refused(f"{ASKED} with level={level!r}", repr(level)[:60], "a share between 0 and 1, such as 0.9")
    if penalty < 0 or spared < 0:
        raise Refused(f"{ASKED} with penalty={penalty!r}, spared={spared!r}", "a negative number", "numbers from 0")


def _rank(n: np.ndarray | int, level: float) -> np.ndarray:
    """The place in order, from 1, of the score that sets the threshold; beyond n there is none."""
    return np.ceil((np.asarray(n) + 1) * level - 1e-9).astype(np.int64)


def _threshold(scores: np.ndarray, chance: np.ndarray, level: float) -> tuple[float, float]:
    place = int(_rank(len(scores), level))
    if place > len(scores):
        return math.inf, 1.0
    at = np.lexsort((chance, scores))[place - 1]
    return float(scores[at]), float(chance[at])


def _enough(n: np.ndarray, level: float, classes: tuple[str, ...], per_class: bool, warnings: list[str]) -> None:
    short = np.flatnonzero(_rank(n, level) > n)
    if not len(short):
        return
    least = math.ceil(level / (1 - level) - 1e-9)
    if not per_class:
        instead = f"at least {least} rows to calibrate on, or a level of at most {n[0] / (n[0] + 1):.3f}"
        raise Refused(f"{ASKED} sets at level {level:g}", f"{n[0]} rows to calibrate on", instead)
    names = ", ".join(f"{classes[c]} ({n[c]})" for c in short[:6])
    warnings.append(f"fewer than {least} rows to calibrate on, so that the class is in every set: {names}")


def _mean_size(size: np.ndarray) -> tuple[float, float]:
    low, high = intervals.mean(size)
    return max(low, 0.0), high


class _Null:
    """Coverages of rows that are exchangeable with those calibrated on, by how many each threshold rests on."""

    def __init__(self, calibration: np.ndarray, level: float, generator: np.random.Generator) -> None:
        place = np.minimum(_rank(calibration, level), calibration + 1)
        self.first, self.second = place, calibration + 1 - place
        self.generator = generator

    def of(self, rows: np.ndarray, covered: int) -> tuple[float, float, float, float]:
        """The 95 % band of the coverage of (strata,) so many rows, and how often as few and as many are covered."""
        total, used = int(rows.sum()), np.flatnonzero(rows)
        if not total:
            return (math.nan,) * 4
        certain = self.second[used] == 0
        if len(used) == 1 and not certain[0]:
            chances = _beta_binomial(total, self.first[used[0]], self.second[used[0]])
            upto = np.minimum(np.cumsum(chances), 1.0)
            low, high = (np.searchsorted(upto, (0.025, 0.975)) / total).tolist()
            return low, high, float(upto[covered]), float(min(1.0, chances[covered:].sum()))
        drawn = np.full(DRAWS, int(rows[used[certain]].sum()))
        for s in used[~certain]:
            chance = self.generator.beta(self.first[s], self.second[s], DRAWS)
            drawn += self.generator.binomial(rows[s], chance)
        low, high = np.quantile(drawn, (0.025, 0.975)) / total
        few, many = ((1 + np.count_nonzero(side)) / (1 + DRAWS) for side in (drawn <= covered, drawn >= covered))
        return float(low), float(high), float(few), float(many)


def _beta_binomial(n: int, first: float, second: float) -> np.ndarray:
    """(n + 1,) the chance of each count out of n whose chance is Beta(first, second)."""
    from scipy.special import betaln

    k = np.arange(n + 1)
    ways = -betaln(n - k + 1, k + 1) - np.log(n + 1)
    return np.asarray(np.exp(ways + betaln(k + first, n - k + second) - betaln(first, second)))


def _cells(
    features: Sequence[Grouping], covered: np.ndarray, size: np.ndarray, stratum: np.ndarray, null: _Null, least: int
) -> dict[str, Any]:
    """Coverage and size of set of every class and group."""
    members = [f.code == g for f in features for g in range(len(f.groups))]
    n = np.array([int(m.sum()) for m in members])
    hits = np.array([int(covered[m].sum()) for m in members])
    strata = len(null.first)
    nulls = np.array([null.of(np.bincount(stratum[m], minlength=strata), h) for m, h in zip(members, hits)])
    ends = np.array([_mean_size(size[m]) if m.sum() > 1 else (math.nan, math.nan) for m in members])
    ranked = n >= max(least, 1)
    return {
        "features": tuple(f.name for f in features),
        "cell": np.array([name for f in features for name in f.groups], str),
        "feature_of": np.repeat(np.arange(len(features)), [len(f.groups) for f in features]),
        "cell_n": n,
        "covered": hits,
        "ranked": ranked,
        "cell_size": np.array([size[m].mean() if m.any() else math.nan for m in members]),
        "cell_size_low": ends[:, 0],
        "cell_size_high": ends[:, 1],
        "cell_band_low": nulls[:, 0],
        "cell_band_high": nulls[:, 1],
        "cell_p": nulls[:, 2],
        "cell_p_holm": intervals.holm(np.where(ranked, nulls[:, 2], math.nan)),
    }
