"""The best of several models, chosen on the test rows: what is it really worth?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.analyses._measure import Measure, Metric
from labkit.analyses._pairs.draws import resampled
from labkit.analyses._pairs.people import hits, runs, same_people
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, resampling
from labkit.core.refused import Refused
from labkit.core.winners import DRAWS, noise, steadied, winner
from labkit.records.predict import Predictions
from labkit.records.winners_curse import WinnersCurse

ASKED = "winners_curse"


def winners_curse(
    candidates: Sequence[Predictions],
    metric: str | Metric = "accuracy",
    *,
    positive: int | str | None = None,
    seed: int = 0,
    replicates: int = 2000,
) -> WinnersCurse:
    """The best of several candidates on the same rows: its value, and what remains of it when the choice is counted.

    The largest of several estimates is too large, the more so the more candidates there are and the more alike they
    are. The corrected value is median-unbiased given that this candidate won, and the interval is the hybrid of Andrews,
    Kitagawa and McCloskey, 2024, doi 10.1093/qje/qjad043 (``core.winners``). It needs every candidate that was tried:
    those that are left out make the winner look better than it is.

    Values are taken as normal on the arcsine scale (Anscombe, 1948, doi 10.1093/biomet/35.3-4.246) for what lies in
    [0, 1], with the correlation of the candidates' answers: exact for a rate of the same rows, from a bootstrap of whole
    rows otherwise. Counts get half a row of random noise either way, since equal counts have no order.

    Args:
        candidates: predictions for the same rows in the same order, all that the choice was made among.
        metric: a name or a function; it must say which way is better.
        positive: the class that counts as positive, for metrics that need one.

    Raises:
        Refused: fewer than two candidates; other rows; a metric that is neither better high nor low, or that is not
            defined on these rows.
    """
    tried = runs(ASKED, "candidates", candidates)
    if len(tried) < 2:
        raise Refused(ASKED, "one candidate", "all that the best was chosen among, at least two")
    options = {"positive": positive, "replicates": replicates, "metric": metric if isinstance(metric, str) else ""}
    statement = Statement(ASKED, options, seed, {f"candidate {i}": p for i, p in enumerate(tried)})
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    for p in tried[1:]:
        same_people(ASKED, tried[0], p)
    plain = positive is not None or list(tried[0].classes) in (["0", "1"], ["False", "True"])
    index = positive_class(ASKED, tried[0], positive) if plain else None
    measures = [Measure(ASKED, metric, p, index) for p in tried]
    better, stream = measures[0].better, resampling.stream(seed, ASKED)
    if better == 0:
        given = f"{measures[0].name}, of which neither more nor less is better"
        raise Refused(ASKED, given, "a metric with a direction, such as accuracy")
    values = np.array([float(m.value()) for m in measures])
    if np.isnan(values).any():
        raise Refused(ASKED, f"{measures[0].name}, which is undefined for some candidates", "rows of both classes")
    estimates = _of_hits(measures, stream) or _of_draws(measures, values, replicates, stream)
    signed = better * estimates.values
    spread = noise(estimates.covariance, DRAWS, stream)
    ends = [estimates.back(better * v) for v in winner(signed, estimates.covariance, spread)]
    chosen = int(signed.argmax())
    ties = int(np.isclose(values, values[chosen], rtol=0, atol=1e-12).sum())
    return WinnersCurse(
        provenance=statement.provenance({f"candidate {i}": {measures[0].name: v} for i, v in enumerate(values)}),
        warnings=_warnings(tried, ties),
        metric=measures[0].name,
        better=better,
        n=len(tried[0]),
        names=_names(tried),
        values=values,
        lows=estimates.lows,
        highs=estimates.highs,
        chosen=chosen,
        ties=ties,
        corrected=ends[0],
        corrected_low=min(ends[1:]),
        corrected_high=max(ends[1:]),
        median=float(np.median(values)),
        p=resampling.share_as_large(spread.max(1) - np.median(spread, 1), float(signed.max() - np.median(signed))),
        method="hybrid, " + (estimates.of),
    )


@dataclass(frozen=True)
class _Estimates:
    """The candidates' values on the scale on which they are taken as normal, and the interval of each alone."""

    values: np.ndarray
    covariance: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    bounded: bool
    of: str

    def back(self, value: float) -> float:
        """A value of that scale as the metric's own."""
        return float(np.sin(np.clip(value, 0, np.pi / 2)) ** 2) if self.bounded else float(value)


def _of_hits(measures: Sequence[Measure], generator: np.random.Generator) -> _Estimates | None:
    """From who is a hit of each candidate; None where the metric is no rate of the same rows for all."""
    each = [hits(m) for m in measures]
    if any(h is None or not np.array_equal(np.isnan(h), np.isnan(each[0])) for h in each):  # type: ignore[arg-type]
        return None
    return _of_counts(np.stack([h[~np.isnan(h)] for h in each if h is not None], 1), generator)


def _of_counts(hit: np.ndarray, generator: np.random.Generator) -> _Estimates:
    """From (rows, candidates), who is a hit of which candidate."""
    n, k = hit.shape
    shaken = np.clip(hit.sum(0) + generator.uniform(-0.5, 0.5, k), 0, n)
    spread = hit.std(0)
    scaled = np.divide(hit - hit.mean(0), spread, out=np.zeros(hit.shape), where=spread > 0)
    correlation = scaled.T @ scaled / n
    np.fill_diagonal(correlation, 1.0)
    share = (hit.sum(0) + 0.5) / (n + 1)
    shaking = np.diag(1 / (12 * n * share * (1 - share)))
    values = np.arcsin(np.sqrt((shaken + 3 / 8) / (n + 3 / 4)))
    covariance = (steadied(correlation, n) + shaking) / (4 * n + 2)
    return _Estimates(values, covariance, *intervals.wilson(hit.sum(0), n), bounded=True, of="counts")


def _of_draws(
    measures: Sequence[Measure], values: np.ndarray, replicates: int, generator: np.random.Generator
) -> _Estimates:
    """From a bootstrap of whole rows, the same for all candidates."""
    n = len(next(iter(measures[0].columns.values())))
    drawn = resampled(measures, np.arange(n), replicates, generator)
    drawn = drawn[:, ~np.isnan(drawn).any(0)]
    lows, highs = np.array([resampling.bias_corrected(d, v) for d, v in zip(drawn, values)]).T
    bounded = (measures[0].least, measures[0].most) == (0.0, 1.0)
    if bounded:
        values, drawn = (np.arcsin(np.sqrt(np.clip(v, 0, 1))) for v in (values, drawn))
    error = drawn.std(1)
    centred = (drawn - drawn.mean(1, keepdims=True)) / np.where(error > 0, error, 1.0)[:, None]
    correlation = steadied(centred @ centred.T / drawn.shape[1], n)
    return _Estimates(values, correlation * np.outer(error, error), lows, highs, bounded=bounded, of="bootstrap")


def _names(tried: Sequence[Predictions]) -> tuple[str, ...]:
    found = [str(p.provenance.model.get("name") or p.provenance.data.get("name") or "") for p in tried]
    return tuple(f"{i + 1}: {name}" if name else str(i + 1) for i, name in enumerate(found))


def _warnings(tried: Sequence[Predictions], ties: int) -> tuple[str, ...]:
    said = [w for p in tried for w in p.warnings]
    if ties > 1:
        said.append(f"{ties} candidates share the best value; one of them is taken at random")
    if len(tried[0]) < 30:
        said.append(f"{len(tried[0])} rows: fewer than 30 settle nothing")
    return tuple(dict.fromkeys(said))
