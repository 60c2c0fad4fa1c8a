"""Does a generative model copy what it was trained on?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from labkit.analyses import _examples
from labkit.analyses._copying.chance import among_smallest, nearest_is_trained, rank_z, smaller
from labkit.analyses._copying.nearest import nearest, regions
from labkit.analyses._guard import Run, as_array, check_classifier
from labkit.analyses.predict import row_hashes
from labkit.core import intervals
from labkit.core.record import array_digest
from labkit.core.refused import Refused
from labkit.core.resampling import stream
from labkit.data.split import Dataset
from labkit.models.classifier import Classifier
from labkit.models.features import layer as find_layer
from labkit.models.generative import Generative
from labkit.records.data_copying import DataCopying

ASKED = "data_copying"
NAMED = 8  # pairs of a sample and a training row, unless told
LEAST = 30  # samples, training rows and held-out rows
FEW = 10  # samples and held-out rows of a cell
CLOSEST = 0.05  # share of rows that are called the closest
NONE = (float("nan"),) * 4
Vectors = Callable[[np.ndarray], np.ndarray]
Triple = tuple[float, float, float]


def data_copying(
    model: Generative | np.ndarray,
    data: Dataset,
    *,
    samples: int = 1000,
    features: Classifier | None = None,
    cells: int = 10,
    trained: int = 0,
    pairs: int | None = None,
    seed: int = 0,
) -> DataCopying:
    """Whether samples lie nearer to the rows that a model was trained on than to rows like them that it was not.

    The test of Meehan, Chaudhuri and Dasgupta, 2020 (arXiv 2004.05675) asks whether samples lie nearer to training rows
    than held-out rows do, over all and within cells. They also do where nothing is copied, if a model makes typical rows
    only, such as blurred ones, which are near to everything. So the distance to the nearest training row is also taken as a
    share of that to the nearest of other held-out rows, and compared with the same of further held-out rows: over all
    samples, among the few smallest shares, and within cells, so that copies of a few rows or in one region are not lost
    among the rest. Samples that are drawn as the data are would show no more than chance.

    Whatever the samples are like, ones that are no copies have a training row as their nearest only as often as training
    rows are among all rows (compare Platzer and Reutterer, 2021, doi 10.3389/fdata.2021.679939): that is asked too.

    Args:
        model: a model whose samples are drawn, or (n, ...) samples of any other, in the data's own unit.
        data: ``train``: rows that the model was trained on, all of them or a part; ``test``: rows that it was not.
        samples: how many are drawn.
        features: a classifier in whose last features rows are compared as well as by their values.
        cells: in which cells.
        trained: how many rows the model was trained on, where ``data.train`` is a part of them: copies of the others are
            not seen, and count in what is said of the most that may be copied.
        pairs: samples that are named with the training row nearest to each, and images kept as pictures; None names 8, and
            keeps pictures only of the data that come with labkit.

    Raises:
        Refused: no generative model or samples; other shapes; values that are not finite; fewer than 30 samples, training
            rows or held-out rows that do not stand in training too.
    """
    for name, value, low, high in (
        ("samples", samples, LEAST, 10**6),
        ("cells", cells, 1, 100),
        ("pairs", NAMED if pairs is None else pairs, 1, 100),
    ):
        _examples.count(ASKED, name, value, low, high)
    if not isinstance(data, Dataset):
        instead = "a Dataset: what the model was trained on as train, rows like them as test"
        raise Refused(ASKED, f"a {type(data).__name__} as the data", instead)
    trained = _examples.count(ASKED, "trained", trained or len(data.train), len(data.train), 10**12)
    options = {"samples": samples, "cells": cells, "trained": trained, "pairs": pairs}
    run = Run(ASKED, options, seed, data={"train": data.train.describe(), "test": data.test.describe()})
    held = _held(run, data)
    x, about = _samples(model, data, samples, seed)
    spaces = _spaces(run, data, features)
    looks = [_look(x, data.train.x, held, space, cells, seed) for space in spaces.values()]
    first = looks[0]
    stacked: dict[str, Any] = {name: np.array([getattr(look, name) for look in looks]) for name in STACKED}
    stacked |= dict(zip(("ahead", "low", "high", "p"), np.moveaxis(np.array([look.told for look in looks]), -1, 0)))
    order = np.argsort(first.distance, kind="stable")[: NAMED if pairs is None else pairs]
    # rows of people are kept only where they were asked for
    images = data.schema.modality == "image" and (pairs is not None or _examples.comes_with_labkit(data))
    provenance = replace(run.provenance(), model=about, options={**options, "features": _named(features)})
    return DataCopying(
        provenance=provenance,
        warnings=tuple(run.warnings),
        spaces=tuple(spaces),
        n=len(x),
        n_train=len(data.train),
        n_held=len(held),
        trained=trained,
        **stacked,
        chance=len(data.train) / (len(data.train) + len(held)),
        tests=("all", "closest", *(f"cell {i + 1}" for i in range(cells))),
        pair=order,
        pair_train=first.train[order],
        pair_distance=first.distance[order],
        pair_other=first.other[order],
        pictures=x[order] if images else None,
        train_pictures=data.train.x[first.train[order]] if images else None,
        held_pictures=held[first.held[order]] if images else None,
    )


STACKED = ("distance", "other", "usual", "z", "c_t", "cell_z", "area", "near", "size", "share", "share_p", "close")


@dataclass(frozen=True)
class Look:
    """What is seen in one space; the names are the record's. train, held: (samples,) the nearest row of each kind; told:
    (tests, 4) ahead, low, high and p."""

    train: np.ndarray
    held: np.ndarray
    told: np.ndarray
    distance: np.ndarray
    other: np.ndarray
    usual: np.ndarray
    z: float
    c_t: float
    cell_z: np.ndarray
    area: Triple
    near: Triple
    size: np.ndarray
    share: Triple
    share_p: float
    close: Triple


def _look(x: np.ndarray, train: np.ndarray, held: np.ndarray, space: Vectors, cells: int, seed: int) -> Look:
    samples, known, new = (space(part).astype(np.float32) for part in (x, train, held))
    generator = stream(seed, ASKED, "cells")
    centres = regions(np.concatenate([known, new]), min(cells, len(new)), generator)
    cell = [nearest(part, centres, "cells")[0] for part in (samples, known, new)]
    at_train, distance = nearest(samples, known, "nearest training rows")
    at_held, other = nearest(samples, new, "nearest held-out rows")
    new_at_train, usual = nearest(new, known, "nearest training rows")
    chance = len(known) / (len(known) + len(new))
    # Equally near rows, as in tables of categories, are taken in turns, whichever kind they are.
    kind = np.where(distance == other, generator.random(len(x)) < chance, distance < other)
    row = np.where(kind, at_train, len(known) + at_held)
    *share, share_p = nearest_is_trained(row, np.arange(len(known) + len(new)) < len(known))
    cell_z, weight = np.array([_rank_in_cell(i, cell, samples, known, new) for i in range(cells)]).T
    fit = ~np.isnan(cell_z)
    told, size, close = _told((samples, at_train, distance), (new, new_at_train, usual), cell, cells, generator)
    return Look(
        train=at_train,
        held=at_held,
        told=told,
        distance=distance,
        other=other,
        usual=usual,
        z=rank_z(distance, usual),
        c_t=float(np.average(cell_z[fit], weights=weight[fit])) if fit.any() else float("nan"),
        cell_z=cell_z,
        area=smaller((distance, at_train), (usual, new_at_train))[:3],
        near=_below(distance, usual),
        size=size,
        share=tuple(share),  # type: ignore[arg-type]
        share_p=share_p,
        close=close,
    )


def _told(
    samples: tuple[np.ndarray, ...],
    held: tuple[np.ndarray, ...],
    cell: list[np.ndarray],
    cells: int,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, Triple]:
    """(tests, 4) what the distance to training rows tells as a share of that to one half of the held-out rows, beside the
    same of the other half; (tests,) how many samples it rests on; and how many of them are close so measured.

    Args:
        samples, held: vectors, the nearest training row of each, and how far it is.
    """
    half, rest = np.array_split(generator.permutation(len(held[0])), 2)
    tiny, both = np.finfo(np.float32).tiny, (samples, tuple(part[rest] for part in held))
    ratio = [d / np.maximum(nearest(v, held[0][half], "nearest held-out rows")[1], tiny) for v, _, d in both]
    place = [cell[0], cell[2][rest]]
    # Regions differ in how much more training rows than held-out ones shorten a distance: each by its own measure.
    usually = np.ones(cells)
    for i in range(cells):
        inside = np.concatenate([values[at == i] for values, at in zip(ratio, place)])
        usually[i] = np.median(inside) if len(inside) else 1.0
    own = [values / np.maximum(usually[at], tiny) for values, at in zip(ratio, place)]
    told = [smaller(*((values, of) for values, (_, of, _) in zip(own, both))), among_smallest(own[0], own[1], CLOSEST)]
    size = [len(own[0])] * 2
    for i in range(cells):
        some = [(values[at == i], of[at == i]) for values, at, (_, of, _) in zip(ratio, place, both)]
        told.append(smaller(*some) if min(len(values) for values, _ in some) >= FEW else NONE)
        size.append(len(some[0][0]))
    return np.array(told), np.array(size), _below(own[0], own[1])


def _below(samples: np.ndarray, held: np.ndarray) -> Triple:
    """The share of samples whose number is smaller than that of all but a twentieth of the held-out rows, with Wilson's
    interval."""
    below = samples < np.quantile(held, CLOSEST)
    low, high = intervals.wilson(below.sum(), len(below))
    return float(below.mean()), float(low), float(high)


def _rank_in_cell(
    i: int, cell: list[np.ndarray], samples: np.ndarray, train: np.ndarray, held: np.ndarray
) -> tuple[float, int]:
    """A cell's rank statistic of distances to its own training rows, and its held-out rows, whose number is its weight;
    nan where there are too few."""
    own, known, new = (part[of == i] for part, of in zip((samples, train, held), cell))
    if min(len(own), len(new)) < FEW or not len(known):
        return float("nan"), len(new)
    return rank_z(nearest(own, known, "cells")[1], nearest(new, known, "cells")[1]), len(new)


def _held(run: Run, data: Dataset) -> np.ndarray:
    """Held-out inputs. Those that stand in the training data too stay: in tables of few categories samples do by chance as
    well, and leaving them out would make these look like copies."""
    again = int(np.isin(row_hashes(data.test.x), row_hashes(data.train.x)).sum())
    if again:
        run.warn(f"{again} of {len(data.test)} held-out rows stand in the training data too, which hides copies")
    new = len(data.test) - again
    for what, size in (("training rows", len(data.train)), ("held-out rows that are not among them", new)):
        if size < LEAST:
            raise Refused(ASKED, f"{size} {what}", f"{LEAST} or more, that the model was not trained on as test")
    return data.test.x


def _samples(model: Any, data: Dataset, count: int, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Samples, drawn or given, and what a provenance says of where they are from."""
    if isinstance(model, Generative):
        x, about = model.sample(count, seed), model.describe()
    elif isinstance(model, np.ndarray | torch.Tensor | list):
        x = as_array(ASKED, model)
        about = {"name": "the samples given", "sha256": array_digest(x)}
    else:
        given = f"{getattr(model, 'name', None) or repr(model)[:60]}, which is no generative model"
        raise Refused(ASKED, given, "labkit.zoo.load('fashion_vae'), or an array of samples")
    if x.shape[1:] != data.schema.shape or x.dtype.kind not in "fiu":
        given = f"samples of shape {x.shape} and type {x.dtype}"
        raise Refused(ASKED, given, f"(n, {', '.join(map(str, data.schema.shape))}) numbers, as the data")
    if len(x) < LEAST or not np.isfinite(x).all():
        given = f"{len(x)} samples" if len(x) < LEAST else "samples that are not all finite"
        raise Refused(ASKED, given, f"{LEAST} finite ones or more")
    return x, about


def _spaces(run: Run, data: Dataset, features: Classifier | None) -> dict[str, Vectors]:
    """What rows are compared by, in words, and how they become vectors."""
    noun, vectors = _examples.input_space(data.train)
    found: dict[str, Vectors] = {noun: vectors}
    if features is not None:
        check_classifier(features, ASKED)
        place = find_layer(features, features.tensor(data.train.x[:8]))
        found[f"features of {features.name}"] = lambda x: _examples.features(run, place, x)[0]
    return found


def _named(features: Classifier | None) -> dict[str, Any]:
    return {} if features is None else {"name": features.name, "sha256": features.digest}
