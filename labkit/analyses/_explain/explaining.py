"""Running an attribution: supplied with what it names, checked, summed over the embedding, row by row the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses._guard import Run, as_array, batched, in_words
from labkit.core.draws import Draws
from labkit.core.method import Spec, call
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier

INSTEAD = "occlusion or kernel_shap, which ask for outputs only; saliency or integrated_gradients, which ask for plain gradients"
Facts = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Case:
    """What is explained: inputs, targets and baselines of one model, and the change of the targets' logits."""

    model: Classifier
    x: np.ndarray
    target: np.ndarray
    baseline: np.ndarray
    change: np.ndarray

    def tensors(self, rows: slice) -> dict[str, Any]:
        """Some rows by the names that methods ask for, in memory of their own: nothing reaches the data."""
        arrays = {"x": self.x, "target": self.target, "baseline": self.baseline, "change": self.change}
        return {"model": self.model} | {k: self.model.tensor(v[rows]).clone() for k, v in arrays.items()}


@dataclass(frozen=True, eq=False)
class Attribute:
    """A method with its options, as a function of model, x, target, baseline and draws.

    ``features`` says which entries of an input make one feature, ``background`` holds rows that stand for what inputs
    usually are: a method that names them gets them.
    """

    function: Callable[..., Any]
    spec: Spec
    batch_size: int
    features: np.ndarray | None = None
    background: np.ndarray | None = None

    def __call__(self, model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, generator: Draws) -> Tensor:
        return self.with_facts(model=model, x=x, target=target, baseline=baseline, generator=generator)[0]

    def with_facts(self, **offered: Any) -> tuple[Tensor, Facts]:
        """Values like x, and what else the method says of each row."""
        model, shape = offered["model"], offered["x"].shape
        given: dict[str, Any] = {"batch_size": self.batch_size, "features": None}
        if self.features is not None:
            given["features"] = torch.as_tensor(np.array(self.features)).to(model.device)
        if self.background is not None:
            given["background"] = model.tensor(self.background).clone()
        with in_words(f"{self.spec.name} on {model.name}", INSTEAD):
            values, facts = unpacked(call(self.function, self.spec, {**offered, **given}))
        if values.shape[:-1] == shape:  # taken in the embedding: its width is summed
            values = values.sum(-1)
        if values.shape != shape:
            what = f"an attribution of shape {tuple(values.shape)} for inputs of shape {tuple(shape)}"
            raise Refused(self.spec.name, what, "one value for each entry of the input")
        return values.detach().float(), facts


def unpacked(result: Any) -> tuple[Tensor, Facts]:
    """A method gives its values, or its values and named facts, each with the rows first."""
    values, facts = result if isinstance(result, tuple) else (result, {})
    if not isinstance(values, Tensor):
        raise Refused("the result of a method", f"a {type(values).__name__}", "a tensor, or (tensor, {name: tensor})")
    return values, facts


def gather(
    run: Run, what: str, function: Callable[[slice], tuple[Tensor, Facts]], n: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Values and facts of all rows, computed in batches."""
    kept: list[Facts] = []

    def part(rows: slice) -> Tensor:
        values, facts = function(rows)
        kept.append(facts)
        return values

    values = batched(run, what, part, n).numpy()
    return values, {k: as_array(what, torch.cat([f[k] for f in kept])) for k in kept[0]}


def refuse_not_finite(asked: str, what: str, values: np.ndarray) -> None:
    """Refuse rows with NaN or infinity, the usual mark of half precision that overflows."""
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))
    if len(bad):
        raise Refused(
            asked,
            f"{what} that are NaN or infinite on {len(bad)} of {len(values)} rows (first: {bad[0]})",
            "a model whose values stay finite from baseline to input: in half precision, the same model in float32",
        )
