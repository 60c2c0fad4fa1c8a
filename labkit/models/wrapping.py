"""The user's own torch module as a Classifier."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn

from labkit.core.refused import Refused
from labkit.models.classifier import Classifier


def wrap(
    module: nn.Module,
    *,
    classes: Sequence[str],
    bounds: tuple[float, float] | None = None,
    embedding: str | None = None,
    outputs: Literal["logits", "probabilities"] = "logits",
    baseline: np.ndarray | None = None,
    name: str | None = None,
    device: str = "auto",
) -> Classifier:
    """A Classifier around a copy of a module, in evaluation mode. The module given is never changed.

    Args:
        module: maps (n, ...) inputs in the data's natural units to (n, classes) outputs; normalise inside it.
        classes: names in the order of the outputs.
        bounds: least and greatest value of an input; needed for attacks.
        embedding: name of the submodule that embeds tokens or categories, if there is one.
        outputs: "probabilities" when the module ends in a softmax.
        baseline: one reference input for attributions.
        device: "auto" takes CUDA when there is one.

    Raises:
        Refused: not a module, fewer than two classes, empty bounds, an unknown submodule.
    """
    asked = "wrapping a model"
    if not isinstance(module, nn.Module):
        raise Refused(asked, f"a {type(module).__name__}", "a torch.nn.Module")
    if isinstance(classes, str) or len(classes) < 2:
        raise Refused(asked, f"classes={classes!r}", "a list of at least two class names")
    if len(set(map(str, classes))) != len(classes):
        raise Refused(asked, "class names that repeat", "one name a class")
    if bounds is not None and not bounds[0] < bounds[1]:
        raise Refused(asked, f"bounds={bounds}", "bounds=(low, high) with low < high")
    if outputs not in ("logits", "probabilities"):
        raise Refused(asked, f"outputs={outputs!r}", "outputs='logits' or outputs='probabilities'")
    if embedding is not None and embedding not in dict(module.named_modules()):
        known = ", ".join(n for n, _ in module.named_modules() if n)
        raise Refused(asked, f"no submodule {embedding!r}", f"one of: {known}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    copied = copy.deepcopy(module).eval().requires_grad_(False).to(device)
    return Classifier(
        module=copied,
        classes=tuple(str(c) for c in classes),
        bounds=None if bounds is None else (float(bounds[0]), float(bounds[1])),
        embedding=embedding,
        outputs=outputs,
        baseline=baseline,
        name=name or type(module).__name__,
    )
