"""What a model's scores of familiarity say of rows, in batches: of its logits, and of a layer's features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses import _examples
from labkit.analyses._guard import Run, batched, in_words
from labkit.analyses._unfamiliar.familiarity import OF_FEATURES, OF_LOGITS, Score, mahalanobis, neighbors
from labkit.analyses._unfamiliar.rows import Shift
from labkit.analyses.predict import row_hashes
from labkit.core import registry
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.features import Layer
from labkit.models.features import layer as find_layer

BACKGROUND = 2000


@dataclass(frozen=True)
class Seen:
    """Scores (row, score), nan where an answer or a score is not finite; the classes answered, then -1; probabilities."""

    scores: np.ndarray
    label: np.ndarray
    confidence: np.ndarray

    @property
    def mean_confidence(self) -> float:
        known = self.confidence[self.label >= 0]
        return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True)
class Judge:
    """The scores, of logits and of features, and the model that they judge."""

    run: Run
    model: Classifier
    of_logits: Mapping[str, Score]
    of_features: Mapping[str, Score]
    layer: Layer | None = None
    compared: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.of_logits, *self.of_features)

    def seen(self, what: str, shift: Shift) -> Seen:
        def part(rows: slice) -> Tensor:
            x = self.model.tensor(shift.at(rows))
            with (
                torch.no_grad(),
                in_words(f"{self.run.analysis} on {self.model.name}", "a model that answers on every row"),
            ):
                features, z = self.layer(x) if self.layer else (None, self.model(x))
            return torch.from_numpy(self._judged(z.float().cpu().numpy(), features))

        found = batched(self.run, what, part, shift.n).numpy()
        bad = ~np.isfinite(found).all(1)
        found[bad, :-2] = np.nan
        return Seen(found[:, :-2], np.where(bad, -1, found[:, -2]).astype(np.int64), found[:, -1])

    def _judged(self, z: np.ndarray, features: Tensor | None) -> np.ndarray:
        """(n, scores + 2) the scores, the class answered and its probability."""
        columns = [self._checked(name, score(z), len(z)) for name, score in self.of_logits.items()]
        if features is not None:
            values = np.nan_to_num(features.float().cpu().numpy())
            columns += [score(values) for score in self.of_features.values()]
        return np.column_stack([*columns, z.argmax(1), np.exp(OF_LOGITS["max_probability"](z))])

    def _checked(self, name: str, found: Any, n: int) -> np.ndarray:
        values = np.asarray(found)
        if values.shape != (n,) or values.dtype.kind not in "fiu":
            given = f"a result of shape {values.shape} and type {values.dtype} for {n} rows"
            raise Refused(f"{self.run.analysis} by {name}", given, "one number a row, higher for the more familiar")
        return values.astype(np.float64)


def judge_of(run: Run, asked: str, given: Any, usual: Split | None, split: Split, layer: str, k: int) -> Judge:
    model = run.model
    assert model
    chosen = _chosen(run, model, given, usual is not None)
    of_logits = {name: OF_LOGITS.get(name, score) for name, score in chosen.items() if name not in OF_FEATURES}
    wanted = [name for name in chosen if name in OF_FEATURES]
    if not wanted:
        return Judge(run, model, of_logits, {})
    if usual is None:
        raise Refused(
            f"{asked} by {wanted[0]}", "no background", "background=data.train, or the whole data set as data"
        )
    background = _background(run, asked, usual, split)
    k = _examples.count(asked, "k", k, 1, len(background))
    try:
        place = find_layer(model, model.tensor(split.x[:8]), layer)
    except Refused as error:
        if given is not None:
            raise
        run.warn(f"scores of features are left out: {error.given}")
        return Judge(run, model, of_logits, {})
    features, _ = _examples.features(run, place, background.x)
    if not np.isfinite(features).all():
        raise Refused(asked, "features of background rows that are not finite", "another layer, or other rows")
    fitted = {"mahalanobis": lambda: mahalanobis(features, background.y), "neighbors": lambda: neighbors(features, k)}
    return Judge(run, model, of_logits, {name: fitted[name]() for name in wanted}, place, len(background))


def _chosen(run: Run, model: Classifier, given: Any, with_background: bool) -> dict[str, Any]:
    """The scores by name; those that make no sense for the model are left out of all that can be had."""
    known = (*OF_LOGITS, *OF_FEATURES)
    if given is None:
        given = known if with_background else tuple(OF_LOGITS)
        if model.outputs == "probabilities":
            run.warn("max_logit and energy are left out: the model gives probabilities, and has no logits to speak of")
            given = [name for name in given if name not in ("max_logit", "energy")]
    if isinstance(given, str) or callable(given) or not isinstance(given, Iterable):
        given = (given,)
    found: dict[str, Any] = {}
    for one in given:
        name = registry.label(one)
        if not callable(one) and name not in known:
            raise unknown(f"{run.analysis} by {name}", name, known)
        if name in found or (name == "energy" and not callable(one) and model.outputs == "probabilities"):
            why = "named twice" if name in found else "the same for every row of a model that gives probabilities"
            raise Refused(
                f"{run.analysis} by {name}", why, "each score once; for such a model max_probability or entropy"
            )
        found[name] = one
    if not found:
        raise Refused(run.analysis, "no score", f"some of: {', '.join(known)}")
    return found


def _background(run: Run, asked: str, usual: Split, split: Split) -> Split:
    """At most 2000 rows from all over the background, without those that are among the rows themselves."""
    usual = _examples.labelled(asked, "the background", usual, split.classes, split.x)
    usual = usual[np.linspace(0, len(usual) - 1, min(BACKGROUND, len(usual))).astype(int)]
    same = np.isin(row_hashes(usual.x), row_hashes(split.x))
    if same.any():
        run.warn(f"{same.sum()} background rows are among the rows themselves; they are left out")
    if len(usual) - same.sum() < 2:
        raise Refused(
            asked, f"a background of {len(usual)} rows, all among the rows themselves", "other rows: data.train"
        )
    return usual[~same]
