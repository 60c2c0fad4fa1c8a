"""Which training examples made a model answer as it does?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.analyses import _examples
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, batched, unchanged
from labkit.analyses._preflight import check_inputs, preflight
from labkit.core import intervals
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.features import Layer
from labkit.models.features import layer as find_layer
from labkit.records.influence import Influence

NONE = (float("nan"),) * 3


def influence(
    model: Classifier,
    data: Split | np.ndarray | Tensor,
    trained: Split,
    *,
    checkpoints: Sequence[Classifier] = (),
    rates: Sequence[float] = (),
    mislabeled: np.ndarray | None = None,
    k: int = 5,
    batch_size: int = DEFAULT_BATCH,
) -> Influence:
    """The training examples that lower and raise an example's loss most when a step is taken on them: TracIn (Pruthi,
    Liu, Sundararajan and Kale, 2020, arXiv 2002.08484), over the last linear layer.

    The gradients of two examples' losses (cross-entropy) with respect to that layer's weights and bias have the dot
    product (f . f' + 1)(r . r'), with the features f that go in and the residuals r, probabilities minus the one-hot
    label. It is summed over checkpoints, each times its learning rate. What the layers below changed is left out. One
    checkpoint says what one more step would do; the states that training passed through say what it did.

    Proponents of the same class come first whatever the model, since their residuals point the same way: that alone is
    no evidence. ``mislabeled`` is: examples with wrong labels must influence themselves most, for nothing else does, and
    how well that finds them is given beside how well the plain loss does.

    Args:
        data: examples; of a Split the loss is that of the true labels, else of the predictions.
        trained: the training examples with the labels that the model was trained with.
        checkpoints: states of the model during training, and rates: the learning rate at each; by default the model as
            it is, with rate 1.
        mislabeled: (trained,) whether a training example's label is known to be wrong, for the worth.
        k: proponents and opponents of each example.

    Raises:
        Refused: whatever preflight finds; a model that does not end in a linear layer; labels or checkpoints that do not
            fit.
    """
    asked = f"influence on {getattr(model, 'name', model)}"
    x, y, about = as_split(data, model)
    split = _examples.labelled(asked, "training examples", trained, model.classes, x)
    k = _examples.count(asked, "k", k, 1, len(split))
    states = tuple(checkpoints) or (model,)
    rate = _rates(asked, states, rates)
    wrong = _mislabeled(asked, mislabeled, len(split))
    options = {"k": k, "rates": rate, "checkpoints": [s.digest for s in states] if checkpoints else []}
    run = Run("influence", options, None, model, {"examples": about, "trained": split.describe()}, batch_size)
    preflight(run, model, x, y)
    check_inputs(f"{asked}, for the training examples,", model, split.x)
    label = _label(run, model, x) if y is None else y
    found = _Found(len(x), len(split), k)
    with ExitStack() as stack:
        for state in states:
            stack.enter_context(unchanged(state))
            if state is not model:
                preflight(run, state, x)
        places = [_head(asked, state, x[:8]) for state in states]
        held = [_Held(run, place, eta, x, label) for place, eta in zip(places, rate)]
        batched(run, "influence", lambda rows: found.add(held, split, rows), len(split))
    proponent, opponent = found.proponent.index, found.opponent.index
    first = np.arange(min(len(x), _examples.SHOWN))
    return Influence(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        checkpoints=len(states),
        rates=rate,
        classes=model.classes,
        true=y is not None,
        label=label,
        predicted=_label(run, model, x),
        proponent=proponent,
        proponent_value=-found.proponent.values,
        proponent_label=split.y[proponent],
        opponent=opponent,
        opponent_value=found.opponent.values,
        opponent_label=split.y[opponent],
        trained=len(split),
        own=found.own,
        total=found.total,
        mislabeled=0 if wrong is None else int(wrong.sum()),
        found=NONE if wrong is None else intervals.delong(wrong, found.own),
        found_by_loss=NONE if wrong is None else intervals.delong(wrong, found.loss),
        found_harm=NONE if wrong is None else intervals.delong(wrong, -found.total),
        pictures=_examples.pictures(data, first) if isinstance(data, Split) else None,
        proponent_pictures=_examples.pictures(split, proponent[first]),
        opponent_pictures=_examples.pictures(split, opponent[first]),
        texts=_examples.texts(data, np.arange(len(x))) if isinstance(data, Split) else (),
        proponent_texts=_examples.all_texts(split, proponent),
        opponent_texts=_examples.all_texts(split, opponent),
    )


def _head(asked: str, state: Classifier, x: np.ndarray) -> Layer:
    try:
        return find_layer(state, state.tensor(x))
    except Refused as error:
        raise Refused(asked, error.given, "labkit.neighbors at layer='outputs', or at a layer by name") from None


class _Found:
    """What is known of the training examples so far."""

    def __init__(self, n: int, trained: int, k: int) -> None:
        self.proponent, self.opponent = _examples.Least(n, k), _examples.Least(n, k)
        self.own, self.total, self.loss = (np.zeros(trained) for _ in range(3))

    def add(self, held: list[_Held], split: Split, rows: slice) -> Tensor:
        """A batch of training examples, over all checkpoints."""
        sums = [state.steps(split.x[rows], split.y[rows]) for state in held]
        near, own, loss = (sum(parts).cpu().numpy() for parts in zip(*sums))  # type: ignore[union-attr]
        self.proponent.merge(-near, rows.start)
        self.opponent.merge(near, rows.start)
        self.own[rows], self.total[rows], self.loss[rows] = own, near.mean(0), loss
        return torch.zeros(len(own))


class _Held:
    """A state of the model, and what a step on any training example does there to the examples' losses."""

    def __init__(self, run: Run, layer: Layer, rate: float, x: np.ndarray, y: np.ndarray) -> None:
        self.layer, self.rate = layer, rate
        self.biases = sum(getattr(m, "bias", None) is not None for m in layer.modules)
        size = run.batch_size
        parts = [self._parts(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
        self.features, self.residual = (torch.cat(p) for p in list(zip(*parts))[:2])

    def steps(self, x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """(examples, batch) influences, and (batch,) those on themselves and losses."""
        features, residual, loss = self._parts(x, y)
        near = (self.features @ features.T + self.biases) * (self.residual @ residual.T)
        own = (features.square().sum(1) + self.biases) * residual.square().sum(1)
        return self.rate * near, self.rate * own, loss

    def _parts(self, x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Features, residuals and losses in float64."""
        with torch.no_grad():
            features, out = self.layer(self.layer.model.tensor(x))
        log_proba = out.double().log_softmax(1)
        target = torch.from_numpy(np.array(y)).to(out.device)
        residual = log_proba.exp() - nn.functional.one_hot(target, out.shape[1])
        return features.double(), residual, -log_proba.gather(1, target[:, None])[:, 0]


def _label(run: Run, model: Classifier, x: np.ndarray) -> np.ndarray:
    def part(rows: slice) -> Tensor:
        with torch.no_grad():
            return model(model.tensor(x[rows])).argmax(1)

    return batched(run, "predict", part, len(x)).numpy()


def _rates(asked: str, states: tuple[Any, ...], rates: Sequence[float]) -> tuple[float, ...]:
    found = tuple(float(r) for r in rates) or (1.0,) * len(states)
    if len(found) != len(states) or not all(np.isfinite(r) and r > 0 for r in found):
        given = f"rates {found} for {len(states)} checkpoints"
        raise Refused(asked, given, "one positive learning rate a checkpoint")
    return found


def _mislabeled(asked: str, wrong: Any, n: int) -> np.ndarray | None:
    if wrong is None:
        return None
    found = np.asarray(wrong)
    if found.shape != (n,) or found.dtype != bool or found.all() or not found.any():
        given = f"mislabeled of shape {found.shape} and type {found.dtype} for {n} training examples"
        raise Refused(asked, given, "one boolean a training example, of which some are true and some are not")
    return found
