"""The faithfulness measures of one attribution, and of maps that explain nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses._explain.explaining import Attribute, Case, Facts, gather, unpacked
from labkit.analyses._guard import Run
from labkit.core.draws import Draws
from labkit.core.method import Spec, bind, call, promises
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier
from labkit.records.explain import Score


def _random(x: Tensor, generator: Draws) -> Tensor:
    return torch.from_numpy(generator.normal(*x.shape[1:])).to(x.device)


def _constant(x: Tensor) -> Tensor:
    return torch.ones(x.shape, device=x.device)


def _input(model: Classifier, x: Tensor, baseline: Tensor) -> Tensor:
    """How far each entry is from the baseline, in what the model sees."""
    distance = (model.relax(x)[0] - model.relax(baseline)[0]).abs()
    return distance if distance.shape == x.shape else distance.sum(-1)


def _edge(model: Classifier, x: Tensor) -> Tensor:
    """How steeply the input changes, in what the model sees: Sobel's operator on images, elsewhere the difference from
    the entry before."""
    seen = model.relax(x)[0].double()
    if seen.ndim == 4 and seen.shape == x.shape:
        return _sobel(seen)
    axis = x.ndim - 1
    step = torch.diff(seen, dim=axis, prepend=seen.narrow(axis, 0, 1)).abs()
    return step if step.shape == x.shape else step.sum(-1)


def _sobel(x: Tensor) -> Tensor:
    """Like x: the gradient's size by the operator of Sobel and Feldman, 1968, each channel alone."""
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).to(x)
    kernels = torch.stack([across, across.T])[:, None]
    padded = torch.nn.functional.pad(x.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.conv2d(padded, kernels).norm(dim=1).reshape(x.shape)


CONTROLS: dict[str, Callable[..., Tensor]] = {
    "random": _random,
    "constant": _constant,
    "input": _input,
    "edge": _edge,
}


@dataclass(frozen=True, eq=False)
class Judged:
    """A map, and the method that made it."""

    values: np.ndarray
    attribute: Attribute


@dataclass(frozen=True, eq=False)
class Measurement:
    """One faithfulness measure, ready to be taken of any map of the same case."""

    run: Run
    case: Case
    measure: Callable[..., Any]
    name: str
    promised: tuple[str, ...]
    draws: Draws
    background: Tensor | None = None
    memory: dict[Any, Any] = field(default_factory=dict)  # what the measure keeps between maps and batches

    def of(self, judged: Judged) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """One score a row, and what else the measure gives."""
        spec = bind("faithfulness", self.name, self.measure, {})

        def part(rows: slice) -> tuple[Tensor, Facts]:
            offered = self.case.tensors(rows) | {
                "attribution": self.case.model.tensor(judged.values[rows]),
                "attribute": judged.attribute,
                "promises": self.promised,
                "generator": self.draws[rows],
                "batch_size": self.run.batch_size,
                "background": self.background,
                "memory": self.memory,
            }
            return unpacked(call(self.measure, spec, offered))

        return gather(self.run, self.name, part, len(self.case.x))

    def score(self, judged: Judged, controls: Mapping[str, Judged]) -> Score:
        """The measure of one map beside the controls; or why it does not apply."""
        try:
            values, more = self.of(judged)
        except Refused as refusal:
            return Score(values=np.zeros(0), not_applicable=refusal.given)
        n = len(self.case.x)
        if values.shape != (n,):
            raise Refused(self.name, f"scores of shape {values.shape} for {n} rows", "one score a row")
        better = next((p for p in promises(self.measure) if p in ("lower", "higher")), "")
        if not controls:  # this is a control itself: its own maps are of no interest
            more = {name: value for name, value in more.items() if name != "attribution"}
        beside = {name: self.score(control, {}) for name, control in controls.items()}
        return Score(values=values.astype(np.float64), better=better, more=more, controls=beside)


def scores(
    run: Run, measures: Mapping[str, Callable[..., Any]], case: Case, judged: Judged, draws: Draws
) -> dict[str, Score]:
    """Every measure of the attribution, beside the same measure of each control."""
    controls = {name: _control(run, case, name, draws.spawn(100 + i)) for i, name in enumerate(CONTROLS)}
    promised, rows = promises(judged.attribute.function), judged.attribute.background
    background = None if rows is None else case.model.tensor(rows)
    return {
        name: Measurement(run, case, measure, name, promised, draws.spawn(1 + i), background).score(judged, controls)
        for i, (name, measure) in enumerate(measures.items())
    }


def _control(run: Run, case: Case, name: str, draws: Draws) -> Judged:
    attribute = Attribute(CONTROLS[name], Spec("controls", name), run.batch_size)

    def part(rows: slice) -> tuple[Tensor, Facts]:
        return attribute.with_facts(**case.tensors(rows), generator=draws[rows])

    return Judged(gather(run, f"control {name}", part, len(case.x))[0], attribute)
