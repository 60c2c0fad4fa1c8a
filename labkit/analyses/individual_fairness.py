"""Do alike people get alike answers, and how unevenly are benefits spread?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from labkit.analyses._groups.alike import Neighbors, neighbors
from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import inequality, intervals, resampling
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.records.individual_fairness import IndividualFairness
from labkit.records.predict import Predictions

ASKED = "individual_fairness"
NAN = float("nan")
# Draws of people are made in parts of at most so many numbers.
PART = 4_000_000


def individual_fairness(
    p: Predictions,
    features: Split | None = None,
    *,
    by: Sequence[str | tuple[str, ...]] | None = None,
    positive: int | str | None = None,
    k: int = 5,
    with_self: bool = False,
    rows: int = 3000,
    seed: int = 0,
    replicates: int = 1000,
) -> IndividualFairness:
    """Consistency with the nearest neighbours, and inequality of benefits between and within groups, beside chance.

    Consistency (Zemel and others, 2013, proceedings.mlr.press/v28/zemel13): the share of a person's k nearest others
    with the same answer; neighbours are taken in the inputs without the sensitive features and without columns that
    determine one. Benefits are answer - truth + 1 (Speicher and others, 2018, arXiv 1807.00787). Nothing here says what
    answer would be right for whom: alike in these inputs is all that alike means.

    Args:
        p: predictions. Without truth the indices are not measured.
        features: their inputs, in the same order; None leaves consistency out.
        by: sensitive features, all by default; a tuple of several means their intersection.
        positive: the class that is a benefit; may be left out when the classes are 0 and 1.
        k: neighbours. with_self: whether a person counts among the own neighbours, as in AIF360.
        rows: people whose neighbours are looked up, among all.
        replicates: bootstrap draws and permutations.

    Raises:
        Refused: inputs of other people, counted predictions with inputs, more neighbours than people, neither inputs nor
            a positive class.
    """
    by = list(p.groups if by is None else [by] if isinstance(by, str) else by) if isinstance(p, Predictions) else []
    options = {"by": by, "positive": positive, "k": k, "with_self": with_self, "rows": rows, "replicates": replicates}
    statement = Statement(ASKED, options, seed, {"data": p}, truth=False, counted=features is None)
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    groups = [grouping(ASKED, p, b) for b in by]
    warnings = list(p.warnings)
    index = _positive(p, positive, features, warnings)
    if index is None and features is None:
        given = "predictions without truth and without inputs"
        raise Refused(ASKED, given, "features= with the inputs, or predictions with truth")
    sides = _consistency(p, features, groups, k, with_self, rows, replicates, seed, warnings)
    indices = _indices(p, index, groups, replicates, seed)
    owner = np.repeat(np.arange(len(groups)), [len(g.groups) for g in groups])
    return IndividualFairness(
        provenance=statement.provenance(),
        warnings=tuple(warnings),
        n=p.people,
        replicates=replicates,
        features=tuple(g.name for g in groups),
        group=np.array([name for g in groups for name in g.groups], str),
        feature_of=owner,
        count=np.array([c for g in groups for c in g.counts()], int),
        positive="" if index is None else p.classes[index],
        indices=inequality.INDICES,
        **sides,
        **indices,
    )


def _positive(p: Predictions, positive: int | str | None, features: Split | None, warnings: list[str]) -> int | None:
    """The class that is a benefit; None where benefits cannot be told and something else can."""
    if not p.has_truth:
        warnings.append("benefits not measured: no truth is given")
        return None
    if positive is None and features is not None and list(p.classes) not in (["0", "1"], ["False", "True"]):
        warnings.append("benefits not measured: it takes positive= with the class that is one")
        return None
    return positive_class(ASKED, p, positive)


def _consistency(
    p: Predictions,
    split: Split | None,
    groups: Sequence[Grouping],
    k: int,
    with_self: bool,
    rows: int,
    replicates: int,
    seed: int,
    warnings: list[str],
) -> dict[str, Any]:
    """Consistency of everybody and of each group, with intervals and the null of answers at random."""
    size = sum(len(g.groups) for g in groups)
    nothing = np.full(size, NAN)
    names = ("group_consistency", "group_low", "group_high")
    found: dict[str, Any] = dict.fromkeys(("consistency", "low", "high", "null_mean", "null95", "p"), NAN)
    found |= {"k": k, "asked": 0, "space": "", "left_out": ()} | dict.fromkeys(names, nothing)
    found["group_asked"] = np.zeros(size, np.int64)
    if split is None:
        return found
    near = neighbors(ASKED, p, split, groups, k, with_self, rows, resampling.stream(seed, ASKED, "rows"), warnings)
    starts = np.cumsum([0] + [len(g.groups) for g in groups])
    member = np.zeros((len(near.asked), 1 + size))
    member[:, 0] = 1
    for g, start in zip(groups, starts):
        code = g.code[near.asked]
        known = np.flatnonzero(code >= 0)
        member[known, 1 + start + code[known]] = 1
    alike = p.label[near.place] == p.label[near.asked, None]
    with np.errstate(invalid="ignore"):
        value = alike.mean(1) @ member / member.sum(0)
    draws = np.concatenate(
        list(_drawn(near, alike, member, len(p), replicates, resampling.stream(seed, ASKED, "draws")))
    )
    ends = np.array([resampling.bias_corrected(d, float(v)) for d, v in zip(draws.T, value)]).clip(0, 1)
    # where all neighbours are alike, draws of them cannot tell how sure that is: then as for so many people
    same = np.flatnonzero(value == 1)
    ends[same] = np.column_stack(intervals.wilson(member.sum(0)[same], member.sum(0)[same]))
    null = np.concatenate(list(_at_random(near, p.label, replicates, resampling.stream(seed, ASKED, "null"))))
    found |= {"consistency": float(value[0]), "low": float(ends[0, 0]), "high": float(ends[0, 1])}
    found |= {"null_mean": float(null.mean()), "null95": float(np.quantile(null, 0.95))}
    found["group_asked"] = member[:, 1:].sum(0).astype(np.int64)
    found |= {"p": resampling.share_as_large(null, float(value[0])), "asked": len(near.asked)}
    found |= dict(zip(names, (value[1:], ends[1:, 0], ends[1:, 1])))
    return found | {"space": near.space, "left_out": near.left_out}


def _drawn(
    near: Neighbors, alike: np.ndarray, member: np.ndarray, n: int, replicates: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Consistency of people drawn with replacement, as often as each is drawn, among neighbours drawn likewise."""
    size = max(1, PART // max(alike.size, n))
    for done in range(0, replicates, size):
        count = min(size, replicates - done)
        times = generator.multinomial(n, np.full(n, 1 / n), count).astype(np.float32)
        weight = times[:, near.place]
        there = weight.sum(2)
        share = np.divide((weight * alike).sum(2), there, out=np.zeros_like(there), where=there > 0)
        own = times[:, near.asked] * (there > 0)
        with np.errstate(invalid="ignore"):
            yield (own * share) @ member / (own @ member)


def _at_random(
    near: Neighbors, label: np.ndarray, replicates: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Consistency when the answers are dealt at random to people."""
    size = max(1, PART // max(near.place.size, len(label)))
    for done in range(0, replicates, size):
        dealt = generator.permuted(np.repeat(label[None], min(size, replicates - done), 0), axis=1)
        yield (dealt[:, near.place] == dealt[:, near.asked, None]).mean((1, 2))


def _indices(
    p: Predictions, index: int | None, groups: Sequence[Grouping], replicates: int, seed: int
) -> dict[str, Any]:
    """Both indices with intervals, and their parts between and within the groups of each feature."""
    size = sum(len(g.groups) for g in groups)
    values = ("index", "index_low", "index_high", "constant")
    parts = (
        "between",
        "between_low",
        "between_high",
        "within",
        "within_low",
        "within_high",
        "between_null95",
        "between_p",
    )
    if index is None:
        nothing = np.full((2, len(groups)), NAN)
        counts = {"overall": np.full(3, -1), "benefits": np.full((size, 3), -1)}
        return dict.fromkeys(values, np.full(2, NAN)) | dict.fromkeys(parts, nothing) | counts
    weight = np.ones(len(p)) if p.count is None else p.count
    truth, answer = (p.y == index).astype(int), (p.label == index).astype(int)
    benefit = answer - truth + 1

    def counted(code: np.ndarray, size: int) -> np.ndarray:
        known = code >= 0
        return np.bincount(code[known] * 3 + benefit[known], weight[known], size * 3).reshape(size, 3).astype(np.int64)

    overall = counted(np.zeros(len(p), int), 1)[0]
    value = inequality.entropy(overall)
    draws = inequality.entropy(
        resampling.bootstrap_counts(overall, replicates, resampling.stream(seed, ASKED, "index"))
    )
    ends = _ends(draws, value)
    yes = int(weight[truth == 1].sum())
    no = int(weight.sum()) - yes
    with np.errstate(invalid="ignore"):
        constant = np.fmin(inequality.entropy(np.array([0, yes, no])), inequality.entropy(np.array([yes, no, 0])))
    tables = [counted(g.code, len(g.groups)) for g in groups]
    found = [_between(t, replicates, resampling.stream(seed, ASKED, "between", g.name)) for t, g in zip(tables, groups)]
    return {
        "overall": overall,
        "benefits": np.concatenate([np.zeros((0, 3), np.int64), *tables]),
        **dict(zip(values, (value, *ends, constant))),
        **{name: np.array([part[i] for part in found]).reshape(-1, 2).T for i, name in enumerate(parts)},
    }


def _ends(draws: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(2, indices) ends of the interval of each index, from (replicates, indices) draws."""
    return np.array([resampling.bias_corrected(d, float(v)) for d, v in zip(draws.T, value)]).clip(0).T


def _between(table: np.ndarray, replicates: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Both indices' parts between and within groups with their ends, and what groups made at random give."""
    total, value = inequality.entropy(table.sum(0)), inequality.between(table)
    draws = resampling.bootstrap_counts(table.ravel(), replicates, generator).reshape(replicates, *table.shape)
    apart = inequality.between(draws)
    inside = inequality.entropy(draws.sum(1)) - apart
    null = inequality.between(resampling.permuted_tables(table, replicates, generator))
    p = [resampling.share_as_large(d, float(v)) for d, v in zip(null.T, value)]
    within = total - value
    return value, *_ends(apart, value), within, *_ends(inside, within), np.nanquantile(null, 0.95, axis=0), np.array(p)
