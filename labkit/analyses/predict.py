"""What a model answers on a split."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, logits, probabilities, unchanged
from labkit.analyses._predicted import noted
from labkit.analyses._preflight import preflight
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.predict import Predictions


def predict(model: Classifier, data: Split, *, batch_size: int = DEFAULT_BATCH) -> Predictions:
    """Class probabilities and labels for every example of a split.

    Returns:
        Predictions with (n, classes) probabilities (softmax of the logits), labels, groups, and a hash of every input.

    Raises:
        Refused: whatever preflight finds; outputs that are not finite on any row.
    """
    if not isinstance(data, Split):
        raise Refused("predict", f"a {type(data).__name__}", "a Split, such as data.test")
    x, _, about = as_split(data, model)
    run = Run("predict", {}, model=model, data=about, batch_size=batch_size)
    preflight(run, model, x, data.y)
    with unchanged(model):
        z = logits(run, model, x)
    bad = np.flatnonzero(~np.isfinite(z).all(1))
    if len(bad):
        given = f"outputs that are NaN or infinite on {len(bad)} of {len(z)} rows (first: {bad[0]})"
        raise Refused(f"predict on {model.name}", given, "a model with finite outputs on every row")
    found = Predictions(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        y=data.y,
        label=z.argmax(1).astype(np.int64),
        proba=probabilities(z),
        classes=model.classes,
        groups=data.groups,
        row=row_hashes(x),
    )
    noted("predict", found, {"accuracy": float(np.mean(found.label == found.y))})
    return found


def row_hashes(x: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each input; equal inputs have equal hashes."""
    flat = np.ascontiguousarray(x).reshape(len(x), math.prod(x.shape[1:]))
    return np.array([int.from_bytes(hashlib.sha256(r.tobytes()).digest()[:8], "little") for r in flat], np.uint64)
