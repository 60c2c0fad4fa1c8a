"""Are groups treated alike among people who are alike in factors that may count?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._measure import Measure, Metric
from labkit.analyses._predicted import Statement, positive_class
from labkit.analyses._slices.conditions import columns
from labkit.core import intervals, progress, ratios, resampling, strata
from labkit.core.intervals import Rate
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.records.conditional_parity import ConditionalParity
from labkit.records.predict import Predictions

ASKED = "conditional_parity"
ENDS = ("", "_low", "_high")
# Permuted tables are made in parts of at most so many numbers.
PART = 4_000_000


def conditional_parity(
    p: Predictions,
    by: str | tuple[str, ...],
    given: Sequence[str],
    metric: str | Metric = "selection_rate",
    *,
    data: Split | None = None,
    positive: int | str | None = None,
    reference: str | None = None,
    bands: int = 4,
    least: int = 30,
    seed: int = 0,
    replicates: int = 2000,
) -> ConditionalParity:
    """A rate by group within strata of legitimate factors: conditional statistical parity (Kamiran, Zliobaite and
    Calders, 2013, doi 10.1007/s10115-012-0584-8; Corbett-Davies et al., 2017, arXiv 1701.08230), beside the crude gap.

    Each group is set against one reference group: Mantel and Haenszel's common difference and ratio over the strata,
    with intervals, and a permutation test that deals the hits of each stratum anew to its people. A factor that is
    itself shaped by the bias explains the gap away: how much the factors tell of the group stands beside.

    Args:
        by: a sensitive feature, or a tuple of several for their intersection.
        given: the factors: other sensitive features of ``p``, or columns of ``data``.
        metric: a proportion, by name (``labkit.names("metrics")``) or as a function that gives a ``Rate``.
        data: the table that the factors are columns of, its rows in the order of the predictions.
        positive: the class that counts as positive; may be left out when the classes are 0 and 1.
        reference: the group that the others are compared with; by default the largest.
        bands: so many bands of about equal size are made of a column of numbers.
        least: groups of fewer people are shown, not compared.
        replicates: permutations.

    Raises:
        Refused: an unknown feature, factor or group, a metric that is no proportion, a table with other rows.
    """
    options = {"by": by, "given": given, "metric": metric, "positive": positive, "reference": reference}
    options |= {"bands": bands, "least": least, "replicates": replicates}
    statement = Statement(ASKED, options, seed, {"data": p}, truth=False, counted=True)
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 5 % point", "replicates=100 or more")
    index = None if positive is None and len(p.classes) > 2 else positive_class(ASKED, p, positive)
    measure = Measure(ASKED, metric, p, index)
    groups, factors = grouping(ASKED, p, by), _strata(p, data, given, bands)
    known = (groups.code >= 0) & (factors.code >= 0)
    if not known.any():
        raise Refused(ASKED, "nobody whose group and factors are both known", "people of whom both are known")
    people, cell_hits, cell_of = _cells(measure, groups, factors, known)
    n = people.sum(1)
    compared_with = _reference(groups, n, reference)
    table = _counted(cell_hits, cell_of, compared_with, least)
    parts = _adjusted(cell_hits, cell_of, compared_with, table["ranked"], replicates, seed)
    others = np.delete(np.arange(len(n)), compared_with)
    nothing = not (table["ranked"][others] & ~np.isnan(parts["deviations"][others])).any()
    shuffled = resampling.stream(seed, ASKED, "association")
    return ConditionalParity(
        provenance=statement.provenance(),
        status="not_measured" if nothing else "measured",
        reason=_reason(measure, groups, factors, compared_with, least) if nothing else "",
        warnings=p.warnings,
        metric=measure.name,
        positive="" if index is None else p.classes[index],
        feature=groups.name,
        given=tuple(given),
        n_total=p.people,
        unknown=p.people - int(n.sum()),
        replicates=replicates,
        least=least,
        reference=compared_with,
        stratum=np.array(factors.groups, dtype=str),
        group=np.array(groups.groups, dtype=str),
        n=n,
        **table,
        **parts,
        **_association(people, replicates, shuffled),
    )


def _strata(p: Predictions, data: Split | None, given: Sequence[str], bands: int) -> Grouping:
    """Who is alike in all factors: the combinations that somebody has, -1 where a factor is unknown."""
    if isinstance(given, str) or not given:
        raise Refused(f"{ASKED} given {given!r}", "no list of factors", "given=['one', 'or more']")
    table = columns(ASKED, p, data, np.arange(len(p)), bands)
    for name in given:
        if name not in table.names:
            raise unknown(f"{ASKED} given the factor", str(name), table.names)
    chosen = [table.names.index(name) for name in given]
    code = table.code[:, chosen]
    known = (code >= 0).all(1)
    there, place = np.unique(code[known], axis=0, return_inverse=True)
    stratum = np.full(len(p), -1)
    stratum[known] = place.reshape(-1)
    names = tuple(" & ".join(table.bins[c][k] for c, k in zip(chosen, row)) for row in there)
    return Grouping(" & ".join(given), names, stratum, p.count)


def _reference(groups: Grouping, n: np.ndarray, reference: str | None) -> int:
    if reference is None:
        return int(n.argmax())
    if reference not in groups.groups:
        raise unknown(f"{ASKED} against a group of {groups.name}", str(reference), groups.groups)
    return groups.groups.index(reference)


def _cells(
    measure: Measure, groups: Grouping, factors: Grouping, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(group, stratum) people, hits, and out of how many."""
    shape = len(groups.groups), len(factors.groups)
    code = np.where(known, groups.code * shape[1] + factors.code, -1)
    cells = Grouping("", tuple(map(str, range(shape[0] * shape[1]))), code, groups.count)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(shape[0] * shape[1] + 1))
    found = np.zeros((2, shape[0] * shape[1]))
    for cell in np.flatnonzero(np.diff(starts)):
        progress.step(ASKED, int(cell), found.shape[1])
        rate = measure.value(order[starts[cell] : starts[cell + 1]])
        if not isinstance(rate, Rate):
            raise Refused(f"{ASKED} of {measure.name}", "no proportion", "a share such as selection_rate or precision")
        found[:, cell] = rate.hits, rate.of
    return cells.counts().reshape(shape), found[0].reshape(shape), found[1].reshape(shape)


def _counted(hits: np.ndarray, of: np.ndarray, reference: int, least: int) -> dict[str, Any]:
    """The crude rates, their differences and ratios to the reference's, and what each stratum shows."""
    all_hits, all_of = hits.sum(1), of.sum(1)
    rate = np.divide(all_hits, all_of, out=np.full(len(hits), np.nan), where=all_of > 0)
    low, high = intervals.wilson(all_hits, all_of)
    against = all_hits[reference], all_of[reference]
    difference = intervals.newcombe(all_hits, all_of, *against)
    ratio = ratios.ratio(all_hits, all_of, *against)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {"crude": (rate - rate[reference], *difference), "crude_ratio": (rate / rate[reference], *ratio)}
    within = intervals.newcombe(hits, of, hits[reference], of[reference])
    enough = all_of >= least
    return {
        "hits": all_hits, "of": all_of, "rate": rate, "rate_low": low, "rate_high": high,
        "ranked": enough & enough[reference], "cell_hits": hits, "cell_of": of,
        "stratum_low": _blank(within[0], reference), "stratum_high": _blank(within[1], reference),
        **{f"{k}{end}": _blank(v, reference) for k, ends in values.items() for end, v in zip(ENDS, ends)},
    }  # fmt: skip


def _adjusted(
    hits: np.ndarray, of: np.ndarray, reference: int, ranked: np.ndarray, replicates: int, seed: int
) -> dict[str, Any]:
    """The comparison within strata, its test, and whether strata differ."""
    against = hits[reference], of[reference]
    values = {"adjusted": strata.common_difference(hits, of, *against)}
    values["adjusted_ratio"] = strata.common_ratio(hits, of, *against)
    own = strata.deviations(hits, of, reference)
    stream = resampling.stream(seed, ASKED, "null")
    null = np.abs(strata.permuted_deviations(hits, of, reference, replicates, stream))
    one = strata.deviation(hits, of, reference)
    compared = ranked & ~np.isnan(own)
    largest = null[:, compared].max(1) if compared.any() else np.full(replicates, np.nan)
    overlap = (of > 0) & (of[reference] > 0)
    streams = [resampling.stream(seed, ASKED, "homogeneity", str(g)) for g in range(len(hits))]
    apart = [strata.homogeneity(h, n, *against, replicates, s) for h, n, s in zip(hits, of, streams)]
    return {
        "deviations": own,
        "null95": np.quantile(null, 0.95, axis=0) * one,
        "p": np.array([resampling.share_as_large(null[:, g], abs(own[g])) for g in range(len(own))]),
        "p_family": np.array(
            [resampling.share_as_large(largest, abs(z)) if c else np.nan for z, c in zip(own, compared)]
        ),
        "p_homogeneity": _blank(np.array(apart), reference),
        "left_out": np.where(overlap, 0, of + of[reference]).sum(1) * (np.arange(len(hits)) != reference),
        **{f"{k}{end}": _blank(v, reference) for k, ends in values.items() for end, v in zip(ENDS, ends)},
    }


def _association(people: np.ndarray, replicates: int, generator: np.random.Generator) -> dict[str, Any]:
    """Cramer's V of groups and strata, and what it is when people change groups."""
    table = people[people.sum(1) > 0][:, people.sum(0) > 0]
    if min(table.shape) < 2:
        return {"association": float("nan"), "association95": float("nan")}
    size = max(1, PART // table.size)
    parts = [min(size, replicates - done) for done in range(0, replicates, size)]
    null = [_cramer(resampling.permuted_tables(table, k, generator)) for k in parts]
    return {
        "association": float(_cramer(table)),
        "association95": float(np.quantile(np.concatenate(null), 0.95)),
    }


def _cramer(table: np.ndarray) -> np.ndarray:
    """Cramer's V of (..., rows, columns) of counts, from 0 to 1 (Cramer, 1946)."""
    total = table.sum((-2, -1), keepdims=True)
    expected = table.sum(-1, keepdims=True) * table.sum(-2, keepdims=True) / total
    squared = ((table - expected) ** 2 / expected).sum((-2, -1)) / total[..., 0, 0]
    return np.sqrt(squared / (min(table.shape[-2:]) - 1))


def _blank(values: np.ndarray, reference: int) -> np.ndarray:
    """Values against the reference, nan for the reference itself."""
    values = np.array(values, float)
    values[reference] = np.nan
    return values


def _reason(measure: Measure, groups: Grouping, factors: Grouping, reference: int, least: int) -> str:
    return (
        f"no group of {groups.name} can be compared with {groups.groups[reference]} in {measure.name} within strata of "
        f"{factors.name}: it takes {least} people in both, strata in which both are, and answers that differ"
    )
