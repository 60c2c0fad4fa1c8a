"""The user's own torch module as a Classifier."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import nn

from labkit.core.refused import Refused
from labkit.models.classifier import Classifier
from labkit.models.device import pick


def wrap(
    module: nn.Module,
    *,
    classes: Sequence[str],
    bounds: tuple[float, float] | None = None,
    embedding: str | None = None,
    outputs: Literal["logits", "probabilities", "values"] = "logits",
    baseline: np.ndarray | None = None,
    padding: int | None = None,
    name: str | None = None,
    device: str = "auto",
) -> Classifier:
    """A Classifier around a copy of a module, in evaluation mode: dropout off, running statistics fixed.

    The module given is never changed, and stays in the mode that it is in.

    Args:
        module: maps (n, ...) inputs in the data's natural units to (n, classes) outputs; normalise inside it.
        classes: names in the order of the outputs.
        bounds: least and greatest value of an input; needed for attacks.
        embedding: name of the submodule that embeds tokens or categories, if there is one.
        outputs: "probabilities" when the module ends in a softmax; "values" when its outputs are numbers and not classes,
            as of a regression: then ``classes`` names them, one is enough, and labkit.explain explains them.
        baseline: one reference input for attributions; zeros when it is not given.
        padding: the word number that stands for no word; baselines leave it where it is.
        device: "auto" takes CUDA when there is one.

    Raises:
        Refused: not a module, one that cannot be copied, fewer than two classes, empty bounds, an unknown submodule or
            device.
    """
    asked = "wrapping a model"
    if not isinstance(module, nn.Module):
        raise Refused(asked, f"a {type(module).__name__}", "a torch.nn.Module")
    least = 1 if outputs == "values" else 2
    if isinstance(classes, str) or not isinstance(classes, Sequence | np.ndarray) or len(classes) < least:
        instead = "a list of at least two class names; for a regression outputs='values' and the name of its number"
        raise Refused(asked, f"classes={classes!r}", instead)
    if len(set(map(str, classes))) != len(classes):
        raise Refused(asked, "class names that repeat", "one name a class")
    limits = None if bounds is None else _limits(bounds)
    if outputs not in ("logits", "probabilities", "values"):
        raise Refused(asked, f"outputs={outputs!r}", "outputs='logits', 'probabilities' or 'values'")
    if embedding is not None and embedding not in dict(module.named_modules()):
        known = ", ".join(n for n, _ in module.named_modules() if n)
        raise Refused(asked, f"no submodule {embedding!r}", f"one of: {known}")
    where = pick(device)
    try:
        copied = copy.deepcopy(module).eval().requires_grad_(False).to(where)
    except (RuntimeError, TypeError) as error:
        raise Refused(
            asked, f"a module that cannot be copied ({error})", "a module without open graphs or files"
        ) from None
    return Classifier(
        module=copied,
        classes=tuple(str(c) for c in classes),
        bounds=limits,
        embedding=embedding,
        outputs=outputs,
        baseline=None if baseline is None else np.asarray(baseline),
        padding=padding,
        name=name or type(module).__name__,
    )


def _limits(bounds: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in bounds)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise Refused("wrapping a model", f"bounds={bounds!r}", "bounds=(low, high) with low < high")
    return low, high
