"""Who learns, by whom rules are fitted, by whom one is chosen, and of whom all is stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

import labkit
from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._guard import Run, batched
from labkit.analyses.predict import predict, row_hashes
from labkit.core.record import Provenance
from labkit.core.refused import Refused
from labkit.data.holdout import holdout
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.models.features import layer
from labkit.records.predict import Predictions

ASKED = "mitigate"
FEW = 20
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Given:
    """What the user gave: the model in use, its answers, and the data, as far as there are any."""

    model: Classifier | None
    p: Predictions  # of the held-out people; without a model the truth stands for its answers
    train: Split | None
    held: Split | None
    answered: bool = True  # whether the answers are a model's

    @classmethod
    def of(cls, model: Any, data: Any) -> Given:
        """Refused unless they belong together."""
        if data is not None and not isinstance(data, Dataset | Split):
            raise Refused(ASKED, f"data of type {type(data).__name__}", "a data set with .train and .test, or a Split")
        train, held = (data.train, data.test) if isinstance(data, Dataset) else (None, data)
        if isinstance(model, Predictions):
            if held is not None:
                rows = model.row is None or np.array_equal(model.row, row_hashes(held.x))
                if model.classes != held.classes or not np.array_equal(model.y, held.y) or not rows:
                    given = f"predictions on other rows, or over other classes, than {held.name}"
                    raise Refused(ASKED, given, "what the model answered on data.test, in its order")
                model = replace(model, groups={**held.groups, **model.groups})
            return cls(None, model, train, held)
        if model is None:
            if train is None:
                raise Refused(
                    ASKED, "neither a model nor a data set to train one on", "a model, Predictions, or a Dataset"
                )
            assert held is not None
            return cls(None, _truth(held), train, held, answered=False)
        if held is None:
            raise Refused(ASKED, "a model without data", "a data set with .train and .test, or a Split")
        return cls(model, predict(model, held), train, held)

    def features(self) -> np.ndarray | None:
        """(n, k) what the model makes of the held-out people before its last layer; None where it has none."""
        if self.model is None or self.held is None:
            return None
        model, x, run = self.model, self.held.x, Run(ASKED, {}, model=self.model)
        try:
            head = layer(model, model.tensor(x[:4]))
        except Refused:
            return None
        with torch.no_grad():
            return batched(run, "features", lambda rows: head(model.tensor(x[rows]))[0], len(x)).numpy().astype(float)


def _truth(held: Split) -> Predictions:
    made = Provenance(analysis="predict", version=labkit.__version__, data=held.describe())
    return Predictions(
        provenance=made, y=held.y, label=held.y, classes=held.classes, groups=held.groups, row=row_hashes(held.x)
    )


@dataclass(frozen=True)
class Roles:
    """Held-out people by role, as rows; and the people to train on, as rows of the training data."""

    grouping: Grouping
    learn: np.ndarray
    learn_group: np.ndarray
    rule: np.ndarray
    choose: np.ndarray
    state: np.ndarray
    warnings: tuple[str, ...]


def roles(p: Predictions, train: Split | None, by: str | tuple[str, ...], seed: int) -> Roles:
    """A quarter of the held-out people to fit rules on, a quarter to choose by, half to state; equal inputs in one part.

    People without a known group and groups of fewer than 20 people take no part, and this is warned of.

    Raises:
        Refused: fewer than two groups, or a model's training data without the sensitive feature.
    """
    whole = grouping(ASKED, p, by)
    code, warned = whole.code, []
    learn = np.full(0, -1) if train is None else _same(whole, train, by)
    size = np.bincount(code[code >= 0], minlength=len(whole.groups))
    trained = np.bincount(learn[learn >= 0], minlength=len(whole.groups))
    kept = np.flatnonzero((size >= FEW) & ((trained >= FEW) if train is not None else True))
    if (code < 0).any():
        warned.append(f"{int((code < 0).sum())} of {len(p)} people have no known {whole.name} and take no part")
    small = [f"{whole.groups[g]} ({size[g]} people)" for g in range(len(size)) if g not in kept]
    if small:
        warned.append(f"too few people to fit a rule for, so that they take no part: {', '.join(small)}")
    if len(kept) < 2:
        given = f"{len(kept)} groups by {whole.name} with {FEW} people or more"
        raise Refused(ASKED, given, "more people, or a feature with two groups of that size")
    place = np.full(len(whole.groups) + 1, -1)
    place[kept] = np.arange(len(kept))
    code, learn = place[code], place[learn]
    known = np.flatnonzero(code >= 0)
    keys = [str(i).encode() for i in known] if p.row is None else [int(r).to_bytes(8, "little") for r in p.row[known]]
    strata = code[known] * len(p.classes) + p.y[known]
    stated = holdout(keys, strata, 0.5, seed)
    left = np.flatnonzero(~stated)
    chosen = left[holdout([keys[i] for i in left], strata[left], 0.5, seed + 1)]
    ruled = np.setdiff1d(left, chosen)
    groups = Grouping(whole.name, tuple(whole.groups[g] for g in kept), code)
    rows = np.flatnonzero(learn >= 0)
    return Roles(groups, rows, learn[rows], known[ruled], known[chosen], known[stated], tuple(warned))


def _same(whole: Grouping, train: Split, by: str | tuple[str, ...]) -> np.ndarray:
    """The training people's places among the groups of the held-out; -1 for others."""
    parts = (by,) if isinstance(by, str) else tuple(by)
    missing = [part for part in parts if part not in train.groups]
    if missing:
        raise Refused(
            f"{ASKED} by {whole.name}", f"training data without {', '.join(missing)}", "data with these groups"
        )
    names = train.groups[parts[0]].astype(object)
    for part in parts[1:]:
        names = names + " & " + train.groups[part].astype(object)
    places = {name: i for i, name in enumerate(whole.groups)}
    return np.array([places.get(name, -1) for name in names])


def taken(arrays: Arrays, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Some rows of every array."""
    return {name: array[rows] for name, array in arrays.items()}
