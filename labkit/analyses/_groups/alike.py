"""Who is most alike in the inputs, but for what is sensitive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._groups import probes
from labkit.analyses._groups.grouping import Grouping
from labkit.analyses.predict import row_hashes
from labkit.core import progress
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.records.predict import Predictions

# Vectors to compare people by, where they are no table, hold at most so many numbers.
NUMBERS = 20_000_000


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Whose neighbours were looked up (positions), and who they are: (asked, k) positions."""

    asked: np.ndarray
    place: np.ndarray
    space: str
    left_out: tuple[str, ...]


def neighbors(
    asked_by: str,
    p: Predictions,
    split: Split,
    groups: Sequence[Grouping],
    k: int,
    with_self: bool,
    rows: int,
    generator: np.random.Generator,
    warnings: list[str],
) -> Neighbors:
    """The k nearest others of at most ``rows`` people (or k with themselves), in inputs without the groups' columns.

    Raises:
        Refused: inputs of other people, more neighbours than people, a table of sensitive columns alone.
    """
    from sklearn.neighbors import NearestNeighbors

    if not isinstance(split, Split):
        raise Refused(asked_by, f"a {type(split).__name__} as features", "a Split, such as data.test")
    same = len(split) == len(p) and (p.row is None or np.array_equal(row_hashes(split.x), p.row))
    if not same:
        raise Refused(
            asked_by, f"{len(split)} rows of inputs for {len(p)} predictions", "the inputs of the same people, in order"
        )
    if not 1 <= k < len(p) or rows < 1:
        raise Refused(
            f"{asked_by} with k={k}, rows={rows}", f"{len(p)} people", "one neighbour or more, fewer than people"
        )
    split, left_out = _without(asked_by, split, groups)
    space, vectors = _examples.input_space(split)
    width = max(len(split.schema.vocabulary), int(np.prod(split.schema.shape)))
    among = np.arange(len(p))
    if split.schema.modality != "tabular" and len(p) * width > NUMBERS:
        among = np.sort(generator.permutation(len(p))[: max(k + 1, NUMBERS // width)])
        warnings.append(f"neighbours are looked for among {len(among)} of {len(p)} people")
    encoded = vectors(split.x[among])
    asked = np.sort(generator.permutation(len(among))[:rows])
    progress.step(f"{asked_by}: neighbours", 0, 1)
    near = NearestNeighbors(n_neighbors=k + (not with_self), n_jobs=1).fit(encoded)
    place = near.kneighbors(encoded[asked], return_distance=False)
    if not with_self:
        # a person whose copies stand before is not among the first k + 1: then the last goes
        own = place == asked[:, None]
        own[~own.any(1), -1] = True
        place = place[~own].reshape(len(asked), k)
    return Neighbors(among[asked], among[place], space, left_out)


def _without(asked_by: str, split: Split, groups: Sequence[Grouping]) -> tuple[Split, tuple[str, ...]]:
    """A table without its sensitive columns and those that determine a group, holes at the column's mean."""
    if split.schema.modality != "tabular":
        return split, ()
    features = split.schema.features
    own = {name.strip().casefold() for g in groups for name in g.name.split(" & ")}
    gone = np.array([f.name.strip().casefold() in own for f in features])
    for g in groups:
        known = g.code >= 0
        gone |= np.array([bool(known.any() and probes.tells(c[known], g.code[known])) for c in split.x.T])
    if gone.all():
        raise Refused(asked_by, "a table of sensitive columns alone", "other inputs to compare people by")
    x = split.x[:, ~gone]
    if np.isnan(x).any():
        x = np.where(np.isnan(x), np.nan_to_num(np.nanmean(x, axis=0)), x)
    kept = tuple(f for f, out in zip(features, gone) if not out)
    schema = replace(split.schema, features=kept, shape=(len(kept),))
    return replace(split, x=x, schema=schema), tuple(f.name for f, out in zip(features, gone) if out)
