"""How well can a sensitive feature be told from the other inputs, and which of them tell it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._columns import together as taken_together
from labkit.analyses._groups import probes
from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._groups.people import people
from labkit.analyses._guard import Run, as_split, unchanged
from labkit.analyses._preflight import preflight
from labkit.core import areas, intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.models.features import layer as find_layer
from labkit.records.proxies import Proxies

ASKED = "proxies"
NAN = float("nan")
# Vectors that no learner can leave columns out of, such as pixels, hold at most so many numbers.
NUMBERS = 5_000_000
ONE_SIDED = 1.6448536269514722  # the normal 95 % point
PER_TARGET = ("auc", "low", "high", "null_mean", "null95", "memorized", "p")


@dataclass(frozen=True, eq=False)
class _Part:
    """One part of the data: known people's inputs, their groups' numbers, and those that learners work on."""

    name: str
    x: np.ndarray
    code: np.ndarray
    rows: np.ndarray
    seed: int

    def stream(self, *names: str) -> np.random.Generator:
        return resampling.stream(self.seed, ASKED, self.name, *names)


def proxies(
    data: Dataset | Split,
    by: str | tuple[str, ...],
    *,
    together: Mapping[str, Sequence[str | int]] | None = None,
    model: Classifier | None = None,
    layer: str = "",
    rows: int = 3000,
    folds: int = 5,
    permutations: int = 10,
    least: int = 30,
    seed: int = 0,
    batch_size: int = 256,
) -> Proxies:
    """The AUC with which people's group is told from their other inputs, which columns tell it, and what chance gives.

    From a table by boosted trees and by a logistic regression, each judged on people that it was not fitted to; columns
    that are the attribute, or determine it, are named and left out. From pixels or words by a logistic regression; from
    a layer of a model by a linear probe, beside its control of random groups (Hewitt and Liang, 2019, arXiv 1909.03368).
    Train and test are looked at apart, each by itself.

    Args:
        by: the sensitive feature; a tuple of several means their intersection.
        together: columns whose importance is measured as one, by a name.
        model, layer: reads the group from a layer of the model: a submodule by name, "outputs", or "head" (what the last
            linear layer takes in), also when empty.
        rows: people that learners are fitted to and judged on; single columns are told of all.
        folds: of the cross-fitting.
        permutations: in which the whole procedure is done with groups at random.
        least: groups with fewer people are left out.

    Raises:
        Refused: data without that feature or without two groups of ``least`` people, a layer that is not there,
            no column besides the attribute.
    """
    splits = {"train": data.train, "test": data.test} if isinstance(data, Dataset) else {"data": data}
    named = {name: people(f"{ASKED} by {by}", split) for name, split in splits.items()}
    found = {name: grouping(ASKED, p, by) for name, p in named.items()}
    if folds < 2 or permutations < 5 or rows < 10 * folds:
        given = f"folds={folds}, permutations={permutations}, rows={rows}"
        raise Refused(ASKED, given, "two folds, five permutations and ten rows a fold, or more")
    options: dict[str, Any] = {
        "by": by,
        "together": None if together is None else {k: list(v) for k, v in together.items()},
    }
    options |= {"layer": layer, "rows": rows, "folds": folds, "permutations": permutations, "least": least}
    about = {name: split.describe() for name, split in splits.items()}
    sources = next(iter(about.values())) if len(about) == 1 else about
    run = Run(ASKED, options, seed, model, sources, batch_size)
    groups = _groups(found, least, run)
    parts = {name: _people_of(name, splits[name], found[name], groups, rows, seed) for name in splits}
    first = next(iter(splits.values()))
    tabular = model is None and first.schema.modality == "tabular"
    telling = _telling(parts, first, found, by, run) if tabular else np.array([], str)
    columns = tuple(f.name for f in first.schema.features) if tabular else ()
    kept = np.flatnonzero(telling == "")
    if tabular and not len(kept):
        raise Refused(ASKED, f"no column besides those that tell {by} itself", "a table with other columns")
    features = _features(first, together, kept) if tabular else {}
    targets = tuple(range(len(groups)))[1 if len(groups) == 2 else 0 :]
    made: dict[str, list[Any]] = {}
    for name, part in parts.items():
        run_part: dict[str, Any] = {}
        vectors, place = part.x[part.rows], ""
        sizes: list[int] | None = [first.schema.sizes[i] for i in kept] if tabular else None
        if tabular:
            run_part |= _single(part, first.schema.sizes, len(groups), targets, folds)
            vectors = vectors[:, kept]
        elif model is not None:
            vectors, place = _representation(run, model, splits[name], vectors, layer)
        else:
            vectors = _examples.input_space(splits[name][: len(part.x)])[1](vectors)
        run_part |= _learned(part, vectors, sizes, features, len(groups), targets, folds, permutations)
        run_part |= {"n": len(part.x), "n_fit": len(part.rows), "layer": place}
        run_part["count"] = [int((part.code == t).sum()) for t in targets]
        for key, value in run_part.items():
            made.setdefault(key, []).append(value)
    learners, place = made.pop("learners")[0], made.pop("layer")[0]
    tables: dict[str, Any] = {
        k: np.array(v, float if k not in ("n", "n_fit", "count") else int) for k, v in made.items()
    }
    empty = np.zeros((len(parts), 0, len(targets)))
    single: dict[str, Any] = {k: tables.pop(k, empty) for k in ("column_auc", "column_low", "column_high")}
    column_p = tables.pop("column_p", empty[:, :, 0])
    tables["importance_p"] = intervals.holm(tables["importance_p"])
    provenance = run.provenance()
    return Proxies(
        provenance=replace(provenance, packages={**provenance.packages, "scikit-learn": version("scikit-learn")}),
        warnings=tuple(run.warnings),
        sensitive=next(iter(found.values())).name,
        groups=groups,
        targets=tuple(groups[t] for t in targets),
        parts=tuple(parts),
        learners=("linear probe",) if model is not None else learners,
        columns=columns,
        features=tuple(features),
        layer=place,
        folds=folds,
        permutations=permutations,
        p_holm=intervals.holm(tables["p"]),
        tells=telling,
        column_p=column_p,
        column_p_holm=intervals.holm(column_p),
        **single,
        **tables,
    )


def _groups(found: Mapping[str, Grouping], least: int, run: Run) -> tuple[str, ...]:
    """The groups that every part has enough people of."""
    counts = [dict(zip(g.groups, g.counts().tolist())) for g in found.values()]
    names = list(dict.fromkeys(name for c in counts for name in c))
    fewest = {name: min(c.get(name, 0) for c in counts) for name in names}
    enough = tuple(name for name in names if fewest[name] >= least)
    if len(enough) < 2:
        told = ", ".join(f"{k} ({v})" for k, v in list(fewest.items())[:8]) or "nobody"
        feature = next(iter(found.values())).name
        raise Refused(f"{ASKED} by {feature}", f"people of {told}", f"two groups of {least} people or more")
    small = [f"{name} ({n})" for name, n in fewest.items() if n < least]
    if small:
        run.warn(f"left out, with fewer than {least} people: {', '.join(small[:8])}")
    for name, one in found.items():
        unknown = int((one.code < 0).sum())
        if unknown:
            run.warn(f"{unknown} of {len(one.code)} people in {name} have no known {one.name}")
    return enough


def _people_of(name: str, split: Split, found: Grouping, groups: tuple[str, ...], rows: int, seed: int) -> _Part:
    to = np.array([*(groups.index(g) if g in groups else -1 for g in found.groups), -1])
    code = to[found.code]
    known = np.flatnonzero(code >= 0)
    if split.schema.modality != "tabular":
        width = max(len(split.schema.vocabulary), int(np.prod(split.schema.shape)))
        rows = min(rows, max(200, NUMBERS // width))
    some = resampling.stream(seed, ASKED, name, "rows").permutation(len(known))[:rows]
    return _Part(name, split.x[known], code[known], np.sort(some), seed)


def _telling(
    parts: Mapping[str, _Part], split: Split, found: Mapping[str, Grouping], by: str | tuple[str, ...], run: Run
) -> np.ndarray:
    """(columns,) what each says of the attribute by itself, in the first part."""
    part = next(iter(parts.values()))
    own = (by,) if isinstance(by, str) else tuple(by)
    told = []
    for column, feature in zip(part.x.T, split.schema.features):
        told.append("the attribute" if feature.name in own else probes.tells(column, part.code))
        if told[-1]:
            run.warn(
                f"the column {feature.name} {'is' if told[-1] == 'the attribute' else 'determines'} the group; left out"
            )
    return np.array(told)


def _features(
    split: Split, together: Mapping[str, Sequence[str | int]] | None, kept: np.ndarray
) -> dict[str, list[int]]:
    """The columns of each feature by its name, as positions among those kept."""
    place = {int(column): i for i, column in enumerate(kept)}
    found = {k: [place[c] for c in v if c in place] for k, v in taken_together(ASKED, split, together).items()}
    return {k: v for k, v in found.items() if v}


def _representation(run: Run, model: Classifier, split: Split, x: np.ndarray, layer: str) -> tuple[np.ndarray, str]:
    own, y, _ = as_split(split, model)
    preflight(run, model, own, y)
    with unchanged(model):
        place = find_layer(model, model.tensor(x[:8]), layer)
        return _examples.features(run, place, x)[0].astype(np.float64), place.name


def _single(part: _Part, sizes: Sequence[int], groups: int, targets: Sequence[int], folds: int) -> dict[str, Any]:
    """Each column alone: its area for each target, and its p."""
    fold = probes.dealt_folds(part.code, folds, part.stream("single"))
    ends, p = np.zeros((len(sizes), len(targets), 3)), []
    for i, (column, size) in enumerate(zip(part.x.T, sizes)):
        level = probes.levels(column, size > 0)
        score = probes.of_levels(level, part.code, groups, fold)
        ends[i] = [probes.area(part.code, t, score[:, t]) for t in targets]
        p.append(probes.independent(level, part.code, groups))
    return dict(zip(("column_auc", "column_low", "column_high"), np.moveaxis(ends, -1, 0))) | {"column_p": p}


def _learned(
    part: _Part,
    x: np.ndarray,
    sizes: Sequence[int] | None,
    features: Mapping[str, Sequence[int]],
    groups: int,
    targets: Sequence[int],
    folds: int,
    permutations: int,
) -> dict[str, Any]:
    """Each learner's areas beside those of groups at random, and the features' importance for the first."""
    code = part.code[part.rows]
    fold = probes.dealt_folds(code, folds, part.stream("folds"))
    learners = probes.learners(sizes, part.seed)
    # equal inputs have equal groups at random, so that what is learned by heart can be said again
    kind = np.unique(x, axis=0, return_inverse=True)[1] if sizes is None else np.arange(len(x))
    kind = np.ravel(kind)
    first = np.unique(kind, return_index=True)[1]
    found = np.zeros((len(learners), len(targets), len(PER_TARGET)))
    importance = np.full((3, len(features), len(targets)), NAN)
    p = np.full((len(features), len(targets)), NAN)
    for i, (name, fit) in enumerate(learners.items()):
        own = probes.crossed(fit, x, code, groups, fold)
        drawn = np.zeros((permutations, 2, len(targets)))
        for j in range(permutations):
            progress.step(f"{ASKED}: groups at random, {name} in {part.name}", j, permutations)
            mixed = part.stream("null", name, str(j)).permutation(code[first])[kind]
            again = probes.crossed(fit, x, mixed, groups, probes.dealt_folds(mixed, folds, part.stream("null", str(j))))
            drawn[j] = [[probes.area(mixed, t, s[:, t])[0] for t in targets] for s in (again.proba, again.fitted)]
        for k, t in enumerate(targets):
            found[i, k] = _beside(code == t, own.proba[:, t], code, t, drawn[:, :, k])
        if i == 0 and features:
            for f, (feature, columns) in enumerate(features.items()):
                pairs = probes.lost(own, x, code, columns, targets, part.stream("importance", feature))
                importance[:, f], p[f] = _spans(pairs)
    names = ("importance", "importance_low", "importance_high")
    made: dict[str, Any] = dict(zip(PER_TARGET, np.moveaxis(found, -1, 0)))
    return made | dict(zip(names, importance)) | {"importance_p": p, "learners": tuple(learners)}


def _beside(hit: np.ndarray, score: np.ndarray, code: np.ndarray, target: int, drawn: np.ndarray) -> tuple[float, ...]:
    """A learner's area, interval, null and p: the null's spread is the permutations', or the rank test's if larger."""
    from scipy.special import ndtr

    auc, low, high = probes.area(code, target, score)
    middle, heart = drawn.mean(0)
    spread = max(float(drawn[:, 0].std(ddof=1)), areas.guessing_error(int(hit.sum()), int((~hit).sum())))
    spread *= np.sqrt(1 + 1 / len(drawn))  # the mean of the null is an estimate too
    return auc, low, high, middle, middle + ONE_SIDED * spread, heart, float(ndtr((middle - auc) / spread))


def _spans(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(3, targets) value and ends, and one-sided p, of (targets, 2) values and standard errors."""
    from scipy.special import ndtr

    value, error = pairs.T
    p = np.where(error > 0, ndtr(-value / np.where(error > 0, error, 1.0)), np.where(value > 0, 0.0, 1.0))
    return np.array([value, value - 1.959964 * error, value + 1.959964 * error]), p
