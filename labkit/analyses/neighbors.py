"""Which training examples does a model take to be most like an input?"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from labkit.analyses import _examples
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, batched, unchanged
from labkit.analyses._preflight import check_inputs, preflight
from labkit.analyses.predict import row_hashes
from labkit.core import intervals
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.features import Layer
from labkit.models.features import layer as find_layer
from labkit.records.neighbors import Neighbors

Metric = Literal["euclidean", "cosine"]


def neighbors(
    model: Classifier,
    data: Split | np.ndarray | Tensor,
    among: Split,
    *,
    k: int = 5,
    layer: str = "",
    metric: Metric = "euclidean",
    calibration: Split | None = None,
    batch_size: int = DEFAULT_BATCH,
) -> Neighbors:
    """The ``k`` nearest training examples by a layer's features, beside those by the inputs themselves.

    The search is exact. Training examples that equal an input are left out and counted: that an image is its own
    neighbor says nothing. How often the neighbors have the input's label is the worth of the space they were found in;
    a layer that does no better than the inputs has learned nothing that would make its neighbors a reason.

    With ``calibration`` examples, which the model was not trained on, each answer has a credibility (one layer of deep
    k-nearest neighbors: Papernot and McDaniel, 2018, arXiv 1803.04765): near 0 where the neighbors speak against it more
    than they nearly ever do.

    Args:
        data: inputs; of a Split the true labels are what the neighbors' labels are held against, else the predictions.
        among: the training examples.
        layer: a submodule by name, "outputs", or "head" (what the last linear layer takes in), also when empty.
        batch_size: rows of one forward pass; no more features are held than those of the inputs and of one batch.

    Raises:
        Refused: whatever preflight finds; an unknown layer; training examples without labels, or fewer than k.
    """
    asked = f"neighbors on {getattr(model, 'name', model)}"
    x, y, about = as_split(data, model)
    split = _examples.labelled(asked, "training examples", among, model.classes, x)
    k = _examples.count(asked, "k", k, 1, max(1, len(split) - 1))
    if metric not in get_args(Metric):
        raise Refused(asked, f"metric={metric!r}", " or ".join(map(repr, get_args(Metric))))
    options = {"k": k, "layer": layer, "metric": metric}
    run = Run("neighbors", options, None, model, {"examples": about, "among": split.describe()}, batch_size)
    preflight(run, model, x, y)
    check_inputs(f"{asked}, for the training examples,", model, split.x)
    with unchanged(model):
        search = _Search(run, find_layer(model, model.tensor(x[:8]), layer), split, k, metric)
        found, logits = search.near(x)
        space, vectors = _examples.input_space(split)
        plain = search.by(vectors(x), x, lambda rows: torch.from_numpy(vectors(split.x[rows])))
        credibility = None if calibration is None else _credibility(asked, search, found, logits, calibration)
    predicted = logits.argmax(1)
    label = predicted if y is None else y
    hits, input_hits = ((split.y[index] == label[:, None]).mean(1) for index in (found.index, plain.index))
    return Neighbors(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        layer=search.layer.name,
        metric=metric,
        space=space,
        classes=model.classes,
        among=len(split),
        copies=int(np.isin(search.hashes, row_hashes(x)).sum()),
        true=y is not None,
        label=label,
        predicted=predicted,
        index=found.index,
        distance=found.values,
        neighbor_label=split.y[found.index],
        neighbor_predicted=search.answers[found.index],
        input_index=plain.index,
        input_label=split.y[plain.index],
        hits=hits,
        input_hits=input_hits,
        hit=_share(hits),
        input_hit=_share(input_hits),
        gain=_gain(hits, input_hits),
        chance=float(np.mean([(split.y == c).mean() for c in label])),
        credibility=credibility,
        calibration=0 if calibration is None else len(calibration),
        **_shown(data, x, split, found.index),
    )


class _Search:
    """Exact search among the training examples of a split, a batch of them at a time."""

    def __init__(self, run: Run, layer: Layer, split: Split, k: int, metric: str) -> None:
        self.run, self.layer, self.split, self.k, self.metric = run, layer, split, k, metric
        self.hashes = row_hashes(split.x)
        self.answers = np.zeros(len(split), np.int64)

    def near(self, x: np.ndarray) -> tuple[_examples.Least, np.ndarray]:
        """By the layer's features; and the logits of the inputs."""
        mine, logits = _examples.features(self.run, self.layer, x)

        def features(rows: slice) -> Tensor:
            with torch.no_grad():
                values, out = self.layer(self.layer.model.tensor(self.split.x[rows]))
            self.answers[rows] = out.argmax(1).cpu().numpy()
            return values.double().cpu()

        return self.by(mine, x, features), logits

    def by(self, mine: np.ndarray, x: np.ndarray, theirs: Any) -> _examples.Least:
        """By any vectors: those of the inputs, and a function of rows that gives those of the training examples."""
        found = _examples.Least(len(x), self.k)
        own, mine = row_hashes(x), self._scaled(mine.astype(np.float64))

        def part(rows: slice) -> Tensor:
            others = self._scaled(theirs(rows).numpy())
            # |a - b|^2 = |a|^2 - 2 ab + |b|^2
            squared = np.square(mine).sum(1)[:, None] - 2 * mine @ others.T + np.square(others).sum(1)
            same = own[:, None] == self.hashes[rows]
            found.merge(np.where(same, np.inf, np.maximum(squared, 0)), rows.start)
            return torch.zeros(len(others))

        batched(self.run, "neighbors", part, len(self.split))
        if not np.isfinite(found.values).all():
            given = f"fewer than {self.k} training examples that differ from an input and have finite features"
            raise Refused(
                f"{self.k} neighbors of {self.layer.model.name}", given, "more training examples, or a smaller k"
            )
        found.values = found.values / 2 if self.metric == "cosine" else np.sqrt(found.values)
        return found

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.metric == "euclidean":
            return values
        # half the squared distance of unit vectors is 1 minus their cosine
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _credibility(
    asked: str, search: _Search, found: _examples.Least, logits: np.ndarray, calibration: Split
) -> np.ndarray:
    held = _examples.labelled(asked, "calibration examples", calibration, search.split.classes, search.split.x)
    usual = (search.split.y[search.near(held.x)[0].index] != held.y[:, None]).sum(1)
    against = (search.split.y[found.index] != logits.argmax(1)[:, None]).sum(1)
    return np.asarray((usual >= against[:, None]).mean(1))


def _share(hits: np.ndarray) -> tuple[float, float, float]:
    """Wilson's interval over inputs, as if the neighbors of one all had its label or none: never too narrow."""
    low, high = intervals.wilson(hits.sum(), len(hits))
    return float(hits.mean()), float(low), float(high)


def _gain(hits: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    gain = hits - others
    low, high = intervals.paired(np.maximum(gain, 0).sum(), np.maximum(-gain, 0).sum(), len(gain))
    return float(gain.mean()), float(low), float(high)


def _shown(data: Any, x: np.ndarray, among: Split, index: np.ndarray) -> dict[str, Any]:
    """Pictures of the first examples and of their neighbors, or all as text."""
    first = np.arange(min(len(x), _examples.SHOWN))
    own = data if isinstance(data, Split) else None
    found: dict[str, Any] = {"neighbor_pictures": _examples.pictures(among, index[first])}
    if found["neighbor_pictures"] is not None and own is not None:
        found["pictures"] = _examples.pictures(own, first)
    elif found["neighbor_pictures"] is not None:
        pixels = among.schema.pixels or None
        found["pictures"] = (
            x[first].reshape(len(first), -1)[:, :pixels].reshape(-1, *found["neighbor_pictures"].shape[2:])
        )
    found["neighbor_texts"] = _examples.all_texts(among, index)
    found["texts"] = () if own is None else _examples.texts(own, np.arange(len(x)))
    return found
