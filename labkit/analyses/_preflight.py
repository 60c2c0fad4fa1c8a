"""What is looked at before any number is computed: about four forward passes over a few rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from labkit.analyses._guard import Run, as_array
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier

ROWS = 32
TOLERANCE = 1e-4


def preflight(
    run: Run, model: Classifier, x: np.ndarray, y: np.ndarray | None = None, *, random_ok: bool = False
) -> bool:
    """Refuse what would give a wrong number: one cause, one message.

    Looks at the inputs' size, type, finiteness and range; at the labels; and at the model's outputs: shape,
    finiteness, probabilities taken for logits, randomness, and rows that depend on the rest of their batch. With
    ``random_ok`` a model that answers at random is let through: returns whether it does.
    """
    asked = f"{run.analysis} on {model.name}"
    check_inputs(asked, model, x)
    if y is not None:
        check_labels(asked, y, len(x), len(model.classes))
    with torch.no_grad(), _stateless(asked, model):
        rows = model.tensor(x[: min(ROWS, run.batch_size)])
        first = _forward(asked, model, rows)
        _check_outputs(asked, model, first)
        if not torch.equal(first, _forward(asked, model, rows)):
            gap = float((first - _forward(asked, model, rows)).abs().max())
            if gap > _allowed(model, first, TOLERANCE):
                if random_ok:
                    return True
                raise Refused(
                    asked,
                    f"a model that answers differently when asked again (by {gap:.2g})",
                    "a deterministic model: dropout and noise off when evaluating, or their average",
                )
            run.warn(f"the model's outputs differ by up to {gap:.1g} from call to call")
        _check_company(asked, model, rows, first, run.batch_size)
    return False


@contextmanager
def _stateless(asked: str, model: Classifier) -> Iterator[None]:
    """Refuse a model that writes to its own buffers when it answers; they are put back."""
    before = {name: buffer.clone() for name, buffer in model.module.named_buffers()}
    changed: list[str] = []
    try:
        yield
    finally:
        for name, buffer in model.module.named_buffers():
            if name in before and not _same(buffer, before[name]):
                changed.append(name)
                buffer.set_(before[name])  # type: ignore[call-overload]
    if changed:
        given = f"a model that changes its own buffers when it answers ({', '.join(changed[:3])})"
        raise Refused(asked, given, "a model whose answers leave it as it was, in evaluation mode")


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.double().nan_to_num(), b.double().nan_to_num())


def _allowed(model: Classifier, out: torch.Tensor, least: float) -> float:
    """By how much two answers may differ: by rounding, which is coarse in half precision."""
    return max(least, 16 * torch.finfo(model.dtype).eps) * (1 + float(out.abs().max()))


def _check_company(asked: str, model: Classifier, rows: torch.Tensor, first: torch.Tensor, most: int) -> None:
    """Refuse answers that depend on the rest of the batch, or on how long it is."""
    # Each row among copies of itself: a batch of the same size, so that rounding is the same and only company differs.
    few = min(4, len(rows))
    alone = torch.cat([_forward(asked, model, rows[i : i + 1].expand_as(rows))[i : i + 1] for i in range(few)])
    gap = float((alone - first[:few]).abs().max())
    if gap > TOLERANCE * (1 + float(first.abs().max())):
        raise _depends(asked, f"depends on the rest of its batch (by {gap:.2g})")
    longer = torch.cat([rows[: most - 1], _other(model, rows)])
    for batch in (rows[:1], longer):
        size = len(batch)
        answer = _forward(f"{asked}, {size} row{'s' * (size > 1)} at a time", model, batch)
        if answer.shape != (size, *first.shape[1:]):
            raise _depends(asked, f"has the shape {tuple(answer.shape)} in a batch of {size}")
        shared = min(size, len(first)) if batch is not longer else size - 1
        gap = float((answer[:shared] - first[:shared]).abs().max()) if shared else 0.0
        if gap > _allowed(model, first, TOLERANCE):
            raise _depends(asked, f"depends on the rest of its batch (by {gap:.2g} in a batch of {size})")


def _other(model: Classifier, rows: torch.Tensor) -> torch.Tensor:
    """(1, *shape) one more row: the first, and beside a single one its entries the other way round."""
    if len(rows) > 1 or model.embedding is not None:  # columns of categories have ranges of their own
        return rows[:1]
    return rows.flatten(1).flip(1).reshape(rows.shape)


def _depends(asked: str, how: str) -> Refused:
    return Refused(
        asked,
        f"a model whose answer for a row {how}",
        "a model that treats rows alone: BatchNorm with running statistics, no normalisation over the batch, and a first "
        "axis that stays",
    )


def check_inputs(asked: str, model: Classifier, x: np.ndarray) -> None:
    """Refuse inputs that are empty, not numbers, not finite, or outside the model's bounds."""
    if x.ndim < 2 or not len(x):
        raise Refused(asked, f"inputs of shape {x.shape}", "at least one row: (n, ...) inputs")
    if x.dtype.kind not in "fiu":
        raise Refused(asked, f"inputs of type {x.dtype}", "numbers: float32 inputs, or int64 word numbers")
    if model.embedding is None and x.dtype.kind in "iu":
        raise Refused(
            asked,
            f"whole numbers ({x.dtype})",
            "float32 inputs; for token or category numbers, labkit.wrap(..., embedding='name of the embedding layer')",
        )
    finite = np.isfinite(x).reshape(len(x), -1).all(1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise Refused(asked, f"{len(bad)} of {len(x)} rows hold NaN or infinity (first: {bad[0]})", "finite inputs")
    if model.bounds is None:
        return
    low, high = model.bounds
    seen = float(x.min()), float(x.max())
    slack = 1e-6 * (high - low)
    if seen[0] < low - slack or seen[1] > high + slack:
        raise Refused(
            asked,
            f"values from {seen[0]:.3g} to {seen[1]:.3g}, outside the bounds {low:g} to {high:g}",
            "data in the model's natural units, with normalisation as the model's first layer",
        )
    if seen[1] - seen[0] < 0.05 * (high - low) and seen[1] > seen[0]:
        raise Refused(
            asked,
            f"bounds {low:g} to {high:g}, but values only from {seen[0]:.3g} to {seen[1]:.3g}",
            "bounds in the data's own unit",
        )


def check_background(asked: str, model: Classifier, x: np.ndarray, background: object) -> None:
    """Refuse as rows of what inputs usually are what is no Split, or holds what no row like x could be."""
    asked, instead = f"{asked} with a background", "a Split of rows like these, such as data.train[:500]"
    if not isinstance(background, Split):
        raise Refused(asked, f"a {type(background).__name__}", instead)
    if background.x.shape[1:] != x.shape[1:]:
        given = f"a background of shape {background.x.shape} for rows of shape {x.shape}"
        raise Refused(asked, given, instead)
    check_inputs(asked, model, background.x)


def check_labels(asked: str, y: np.ndarray, n: int, classes: int) -> None:
    """Refuse labels that are not whole numbers from 0 to classes - 1, one a row."""
    if y.shape != (n,):
        raise Refused(asked, f"labels of shape {y.shape} for {n} rows", "one label a row")
    if y.dtype.kind not in "iu":
        raise Refused(asked, f"labels of type {y.dtype}", "class indices as whole numbers")
    if y.min() < 0 or y.max() >= classes:
        raise Refused(
            asked, f"labels from {y.min()} to {y.max()} for {classes} classes", f"labels from 0 to {classes - 1}"
        )


def check_targets(asked: str, target: Any, n: int, classes: int) -> np.ndarray:
    """Targets as (n,) class indices; -1 and its kind are refused, since they would silently mean the last class."""
    targets = as_array(f"{asked} for these targets", target)
    if targets.ndim == 0:
        targets = np.broadcast_to(targets, (n,))
    check_labels(asked + " for these targets", targets, n, classes)
    return targets.astype(np.int64)


def check_not_shifted(run: Run, model: Classifier, label: np.ndarray, y: np.ndarray) -> None:
    """Refuse labels so far below chance that they must be of another coding."""
    from scipy.stats import binom

    classes, hits = len(model.classes), int((label == y).sum())
    if binom.cdf(hits, len(y), 1 / classes) > 1e-6:
        return
    rates = {k: float(np.mean((label + k) % classes == y)) for k in range(1, classes)}
    best = max(rates, key=lambda k: rates[k])
    raise Refused(
        f"{run.analysis} on {model.name}",
        f"accuracy {hits / len(y):.3f} on {len(y)} rows, far below chance {1 / classes:.3g}: the labels look shifted "
        f"(adding {best} to every prediction gives {rates[best]:.3f})",
        "labels in the order of the model's classes",
    )


def _forward(asked: str, model: Classifier, x: torch.Tensor) -> torch.Tensor:
    try:
        return model(x).float()
    except Refused:
        raise
    except Exception as error:
        given = f"inputs of shape {tuple(x.shape)} and type {x.dtype}, on which the model raises: {error}"
        raise Refused(asked, given, "inputs of the shape and type that the model was trained on") from error


def _check_outputs(asked: str, model: Classifier, out: torch.Tensor) -> None:
    classes = len(model.classes)
    if out.ndim != 2 or out.shape[1] != classes:
        raise Refused(asked, f"outputs of shape {tuple(out.shape)} for {classes} classes", "one output a class")
    if not torch.isfinite(out).all():
        bad = int((~torch.isfinite(out)).any(1).sum())
        raise Refused(
            asked, f"outputs that are NaN or infinite on {bad} of {len(out)} rows", "a model with finite outputs"
        )
    if model.outputs == "logits":
        if len(out) > 1 and bool((out >= 0).all()) and float((out.sum(1) - 1).abs().max()) < 1e-4:
            raise Refused(
                asked,
                "outputs that are probabilities (they sum to 1), declared as logits",
                "labkit.wrap(..., outputs='probabilities')",
            )
    elif model.outputs == "probabilities" and float((out.exp().sum(1) - 1).abs().max()) > 1e-3:
        raise Refused(asked, "outputs that do not sum to 1, declared as probabilities", "outputs='logits'")
