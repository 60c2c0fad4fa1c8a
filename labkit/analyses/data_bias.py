"""What is uneven in the data themselves, before any model?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._columns import place
from labkit.analyses._groups.grouping import grouping
from labkit.analyses._groups.people import people
from labkit.analyses._groups.uneven import COMPARED, COPY, NAN, against, compared, shifted, standardized, traits
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import intervals, power, progress, resampling
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.records.data_bias import DataBias
from labkit.records.predict import Predictions

ASKED = "data_bias"
# A number as a legitimate factor is taken in so many levels of about equal size.
LEVELS = 5
ADJUSTED = ("difference", "low", "high", "null95", "p")


@dataclass(frozen=True)
class _Part:
    """One part of the data: its people, their table where there is one, and what each of them has."""

    name: str
    p: Predictions
    split: Split | None
    has: Mapping[str, np.ndarray]

    @property
    def weight(self) -> np.ndarray:
        return np.ones(len(self.p)) if self.p.count is None else self.p.count.astype(float)


@dataclass(frozen=True)
class _Feature:
    """One sensitive feature: its groups over all parts, and each part's group codes, -1 where unknown."""

    name: str
    groups: tuple[str, ...]
    codes: tuple[np.ndarray, ...]


def data_bias(
    data: Dataset | Split | Predictions,
    by: Sequence[str | tuple[str, ...]],
    *,
    positive: int | str | None = None,
    reference: Mapping[Any, Mapping[str, float]] | None = None,
    within: str | None = None,
    seed: int = 0,
    replicates: int = 2000,
    least: int = 30,
) -> DataBias:
    """Representation, labels, missing values, copies and lengths by group, train and test apart, beside chance.

    Works on a table, on texts and images with groups, and on predictions (of which the classes and groups alone are
    read). A difference in labels may be in the world or in the labelling; the data alone cannot tell which.

    Args:
        by: sensitive features; a tuple of several means their intersection.
        positive: the class whose rate is looked at; by default the second of two, and each of several.
        reference: for a feature (or tuple) the shares that its groups have elsewhere, such as in the population.
        within: a legitimate factor, a column or a feature of groups: the difference in labels is also told with
            everybody's shares of its levels (numbers in five).
        replicates: permutations and draws.
        least: groups with fewer people are shown and not compared.

    Raises:
        Refused: unknown features, columns or classes; reference shares that do not sum to 1 or lack a group.
    """
    by = [by] if isinstance(by, str) else list(by)
    options = {"by": by, "positive": positive, "reference": _stated(reference), "within": within}
    options |= {"replicates": replicates, "least": least}
    splits = {"train": data.train, "test": data.test} if isinstance(data, Dataset) else {"data": data}
    each = {name: people(ASKED, part) for name, part in splits.items()}
    statement = Statement(ASKED, options, seed, each, truth=False, counted=True)
    if not by or replicates < 100:
        raise Refused(ASKED, f"{len(by)} features, replicates={replicates}", "a feature, and replicates=100 or more")
    labels = _labels(next(iter(each.values())), positive)
    if within is not None and len(labels) != 1:
        raise Refused(f"{ASKED} within {within}", f"{len(labels)} classes looked at", "positive= with one of them")
    parts: list[_Part] = []
    for name, p in each.items():
        given = splits[name]
        split = given if isinstance(given, Split) else None
        train, usual = (parts[0].p, parts[0].split) if parts else (None, split)
        parts.append(_Part(name, p, split, traits(p, split, labels, train, usual)))
    features = [_feature(parts, b, reference) for b in by]
    rates = tuple(dict.fromkeys(rate for part in parts for rate in part.has))
    starts = np.cumsum([0] + [len(f.groups) for f in features])[:-1]
    found: dict[str, list[Any]] = {}
    for i, part in enumerate(parts):
        progress.step(ASKED, i, len(parts))
        for key, value in _part(part, i, features, starts, rates, within, replicates, least, seed).items():
            found.setdefault(key, []).append(value)
    progress.step(ASKED, len(parts), len(parts))
    tables: dict[str, Any] = {k: np.array(v) for k, v in found.items()}
    share = np.concatenate([_shares(f, b, reference) for f, b in zip(features, by)])
    owner = np.repeat(np.arange(len(features)), [len(f.groups) for f in features])
    return DataBias(
        provenance=statement.provenance(),
        warnings=_warnings(parts, features, rates),
        parts=tuple(part.name for part in parts),
        rates=rates,
        features=tuple(f.name for f in features),
        labels=sum(rate.startswith("label ") for rate in rates),
        group=np.array([g for f in features for g in f.groups]),
        feature_of=owner,
        total=np.array([part.p.people for part in parts]),
        replicates=replicates,
        least=least,
        people_needed=power.rows_for_width(0.5, 0.1),
        reference=share,
        reference_p=_each(tables["n"], owner, lambda n, of, s: against(n, share[of], replicates, s), seed, "reference"),
        within=within or "",
        p_holm=intervals.holm(tables["p"]),
        **tables,
        **_shift(tables, rates, owner, replicates, least, seed),
    )


def _stated(reference: Mapping[Any, Mapping[str, float]] | None) -> Any:
    return None if reference is None else {_name(k): dict(v) for k, v in reference.items()}


def _name(feature: str | tuple[str, ...]) -> str:
    return feature if isinstance(feature, str) else " & ".join(feature)


def _labels(p: Predictions, positive: int | str | None) -> dict[str, int]:
    if not p.has_truth:
        return {}
    if positive is None:
        return dict([(p.classes[1], 1)]) if len(p.classes) == 2 else {name: i for i, name in enumerate(p.classes)}
    index = positive_class(ASKED, p, positive)
    return {p.classes[index]: index}


def _feature(parts: Sequence[_Part], by: str | tuple[str, ...], reference: Mapping[Any, Any] | None) -> _Feature:
    found = [grouping(ASKED, part.p, by) for part in parts]
    name = found[0].name
    outside = (_stated(reference) or {}).get(name, {})
    groups = tuple(dict.fromkeys([*(g for f in found for g in f.groups), *outside]))
    codes = []
    for f in found:
        to = np.array([*(groups.index(g) for g in f.groups), -1])
        codes.append(to[f.code])
    return _Feature(name, groups, tuple(codes))


def _shares(feature: _Feature, by: str | tuple[str, ...], reference: Mapping[Any, Any] | None) -> np.ndarray:
    """(groups,) the reference shares; nan where none are given."""
    given = (_stated(reference) or {}).get(feature.name)
    if given is None:
        return np.full(len(feature.groups), NAN)
    missing = [g for g in feature.groups if g not in given]
    share = np.array([float(given.get(g, NAN)) for g in feature.groups])
    if missing or (share < 0).any() or abs(share.sum() - 1) > 0.01:
        told = f"shares without {', '.join(missing[:6])}" if missing else f"shares that sum to {share.sum():.3g}"
        raise Refused(f"{ASKED} against reference shares of {feature.name}", told, "a share for each group, in all 1")
    return share / share.sum()


def _part(
    part: _Part,
    i: int,
    features: Sequence[_Feature],
    starts: np.ndarray,
    rates: Sequence[str],
    within: str | None,
    replicates: int,
    least: int,
    seed: int,
) -> dict[str, Any]:
    """Everything of one part: arrays over its groups, rates and features."""
    weight = part.weight
    level = None if within is None else _levels(part, within)
    columns: dict[str, list[Any]] = {}
    for feature, start in zip(features, starts):
        code, size = feature.codes[i], len(feature.groups)
        known = code >= 0
        n = np.bincount(code[known], weight[known], size)
        ranked = n >= least
        hits = np.full((len(rates), size), NAN)
        spreads: dict[str, list[Any]] = {key: [] for key in COMPARED}
        for r, rate in enumerate(rates):
            if rate in part.has:
                hits[r] = np.bincount(code[known], (weight * part.has[rate])[known], size)
            stream = resampling.stream(seed, ASKED, part.name, feature.name, rate)
            one = compared(hits[r], n, ranked & ~np.isnan(hits[r]), replicates, stream)
            for key in COMPARED:
                spreads[key].append(one[key] + start if key in ("highest", "lowest") and one[key] >= 0 else one[key])
        stream = resampling.stream(seed, ASKED, part.name, feature.name, "within")
        table = np.zeros((size, 1, 2))
        if level is not None:
            table = _table(code, level, part.has[rates[0]], weight, size)
        inside = standardized(table.astype(np.int64), ranked & (level is not None), replicates, stream)
        low, high = intervals.wilson(n, n.sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            per_group = {"n": n.astype(np.int64), "share": n / n.sum(), "share_low": low, "share_high": high}
            ends = intervals.wilson(hits, n)
            per_rate = {"value": hits / n, "low": ends[0], "high": ends[1], "hits": hits}
        per_group |= {"ranked": ranked, "adjusted": inside["adjusted"], **per_rate}
        single = {f"adjusted_{k}": inside[k] for k in ADJUSTED} | {"covered": inside["covered"]}
        single["unknown"] = int(weight[~known].sum())
        for key, value in (per_group | spreads | single).items():
            columns.setdefault(key, []).append(value)
    joined = {**dict.fromkeys(per_group, -1)}
    return {
        k: np.concatenate(v, -1) if k in joined else np.array(v).T if k in COMPARED else np.array(v)
        for k, v in columns.items()
    }


def _levels(part: _Part, within: str) -> np.ndarray:
    """(n,) the level of the legitimate factor that each person is in; -1 where it is unknown."""
    if within in part.p.groups:
        return grouping(ASKED, part.p, within).code
    if part.split is None or part.split.schema.modality != "tabular":
        raise Refused(
            f"{ASKED} within {within}", f"groups {', '.join(part.p.groups)}", "one of them, or a table's column"
        )
    at = place(f"{ASKED} within {within}", part.split, within)
    column = part.split.x[:, at]
    if part.split.schema.features[at].kind == "categorical" or len(np.unique(column)) <= LEVELS:
        return np.unique(column, return_inverse=True)[1]
    cuts = np.nanquantile(column, np.arange(1, LEVELS) / LEVELS)
    return np.where(np.isnan(column), -1, np.searchsorted(np.unique(cuts), column, side="left"))


def _table(code: np.ndarray, level: np.ndarray, has: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    """(groups, levels, 2) people with and without the trait."""
    known = (code >= 0) & (level >= 0)
    levels = int(level.max()) + 1
    key = (code * levels + level) * 2 + ~has
    return np.bincount(key[known], weight[known], size * levels * 2).reshape(size, levels, 2)


def _each(n: np.ndarray, owner: np.ndarray, function: Any, seed: int, what: str) -> np.ndarray:
    """(parts, features) of a function of a feature's counts."""
    features = range(owner.max() + 1)
    streams = [[resampling.stream(seed, ASKED, what, str(i), str(f)) for f in features] for i in range(len(n))]
    return np.array([[function(n[i][owner == f], owner == f, streams[i][f]) for f in features] for i in range(len(n))])


def _shift(
    tables: Mapping[str, np.ndarray], rates: Sequence[str], owner: np.ndarray, replicates: int, least: int, seed: int
) -> dict[str, Any]:
    """How the test part differs from the training part: group shares, and each rate by group. Copies are left out: the
    more rows, the more of them have one."""
    n, hits = tables["n"], np.where(np.array([r == COPY for r in rates], bool)[:, None], NAN, tables["hits"])
    features = range(owner.max() + 1)
    moved = np.full((4, *hits.shape[1:]), NAN)
    apart = np.full((2, len(features)), NAN)
    if len(n) == 2:
        for f in features:
            stream = resampling.stream(seed, ASKED, "shift", str(f))
            apart[:, f] = shifted(n[:, owner == f], replicates, stream)
        moved[0] = hits[1] / np.maximum(n[1], 1) - hits[0] / np.maximum(n[0], 1)
        moved[1:3] = intervals.newcombe(hits[1], n[1], hits[0], n[0])
        for r, g in np.argwhere(~np.isnan(hits).any(0) & (n >= least).all(0)):
            moved[3, r, g] = resampling.exact_difference(hits[::-1, r, g], n[::-1, g])
        moved[3] = intervals.holm(moved[3])
    names = ("moved", "moved_low", "moved_high", "moved_p")
    return dict(zip(names, moved)) | {"shift_p": apart[0], "shift_share": apart[1]}


def _warnings(parts: Sequence[_Part], features: Sequence[_Feature], rates: Sequence[str]) -> tuple[str, ...]:
    said = [w for part in parts for w in part.p.warnings]
    for i, part in enumerate(parts):
        for feature in features:
            lost = int(part.weight[feature.codes[i] < 0].sum())
            said += [f"{lost} of {part.p.people} people in {part.name} have no known {feature.name}"] * (lost > 0)
    table = any(part.split is not None and part.split.schema.modality == "tabular" for part in parts)
    if table and "a value is missing" not in rates:
        said.append("missing values not measured: no column has a hole, or a category for what is missing")
    if COPY not in rates:
        said.append("copies not measured: inputs were not kept")
    return tuple(dict.fromkeys(said))
