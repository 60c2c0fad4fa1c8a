"""What the attacks of one analysis stand on: the model, the rows, what may change, and the answers without an attack."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from labkit.analyses._attack import threats
from labkit.analyses._attack.ways import Averaged
from labkit.analyses._guard import Run, as_split, logits
from labkit.analyses._preflight import check_background, check_not_shifted, preflight
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.data.constraints import Constraints
from labkit.data.split import Split
from labkit.models.classifier import Classifier

ASKS = 20  # how often a model that answers at random is asked


@dataclass(frozen=True)
class Ground:
    """What the attacks of one analysis share. ``asks`` is how often the module runs for one answer."""

    run: Run
    model: Classifier
    data: Split
    label: np.ndarray
    threat: threats.Threat
    draws: Draws
    background: Split | None = None
    table: Any = None
    asks: int = 1

    @property
    def x(self) -> np.ndarray:
        return self.data.x

    @property
    def y(self) -> np.ndarray:
        return self.data.y

    @property
    def norm(self) -> str:
        return self.threat.name

    @property
    def bounds(self) -> tuple[float, float]:
        assert self.model.bounds
        return self.model.bounds

    @property
    def span(self) -> float:
        """The whole range of an input."""
        return self.bounds[1] - self.bounds[0]

    @property
    def correct(self) -> np.ndarray:
        return self.label == self.y


@dataclass(frozen=True)
class Situation:
    """What the caller says beside the model and the rows: rows of what inputs usually are, and what may change."""

    background: Split | None = None
    constraints: Constraints | Mapping[str, Any] | None = None


def prepare(run: Run, model: Classifier, data: Split, norm: str, seed: int, about: Situation = Situation()) -> Ground:
    """Preflight, and the model's answers to the clean rows."""
    asked = f"{run.analysis} on {model.name}"
    if not isinstance(data, Split):
        raise Refused(asked, f"a {type(data).__name__}", "a Split, such as data.test[:64]")
    threat = threats.threat(norm)
    threats.require(run.analysis, threat, model)
    x, y, run.data = as_split(data, model)
    assert y is not None
    if about.constraints and norm != "cost":
        raise Refused(asked, f"constraints, of which the threat model {norm} knows nothing", "norm='cost'")
    data, background = _single(data), about.background
    if background is not None:
        check_background(asked, model, x, background)
        background = _single(background)
    random = preflight(run, model, x, y, random_ok="continuous" in model.capabilities)
    if random:
        model = replace(model, module=Averaged(model, ASKS, seed, run.batch_size), outputs="logits", read=None)
        run.warn(f"the model answers at random: each answer is the mean of {ASKS}, and gradients are means too")
    z = logits(run, model, x)
    bad = np.flatnonzero(~np.isfinite(z).all(1))
    if len(bad):
        given = f"outputs that are NaN or infinite on {len(bad)} of {len(z)} clean rows (first: {bad[0]})"
        raise Refused(asked, given, "a model with finite outputs on every row")
    label = z.argmax(1)
    check_not_shifted(run, model, label, y)
    _warn_of_room(run, threat, model, x)
    _check_answers_vary(asked, run, model, x, label, seed)
    if not (label == y).any():
        raise Refused(asked, f"{len(y)} rows, none of them classified correctly", "rows that the model gets right")
    ground = Ground(run, model, data, label, threat, Draws(seed, len(x)), background, asks=ASKS if random else 1)
    if norm == "cost":
        from labkit.analyses._attack.tables import table

        ground = replace(ground, table=table(asked, data, background, about.constraints))
    return ground if random else replace(ground, model=_channels_last(model, x))


def _single(data: Split) -> Split:
    """Fractions in the precision in which attacks work: in another one a value that nobody changed would not be itself."""
    return replace(data, x=data.x.astype(np.float32)) if data.x.dtype.kind == "f" else data


def _channels_last(model: Classifier, x: np.ndarray) -> Classifier:
    """A copy whose convolutions lie in memory as processors like them: about twice as fast, equal but for rounding.

    A module that cannot be run so (it views its maps as rows) or that answers otherwise is left as it is.
    """
    if not any(isinstance(m, nn.Conv2d) for m in model.module.modules()):
        return model
    rows = model.tensor(x[:8])
    try:
        module = copy.deepcopy(model.module)
        copied = replace(model, module=module.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        with torch.no_grad():
            before, after = model(rows), copied(rows)
    except RuntimeError:
        return model
    return copied if torch.allclose(before, after, rtol=1e-4, atol=1e-5) else model


def _warn_of_room(run: Run, threat: threats.Threat, model: Classifier, x: np.ndarray) -> None:
    """Bounds of -1 to 1 for data of 0 to 1 let attacks go where no input is; few rows may lie in one half by chance."""
    if "bounds" not in threat.needs or len(x) < 20:
        return
    low, high = model.bounds or (0.0, 0.0)
    least, most = float(x.min()), float(x.max())
    if least >= (low + high) / 2 or most <= (low + high) / 2:
        run.warn(
            f"bounds {low:g} to {high:g}, but these {len(x)} rows have values from {least:.3g} to {most:.3g} only: attacks "
            "use the other half too; where no input does, narrower bounds are right, and robust accuracy is higher"
        )


def _check_answers_vary(asked: str, run: Run, model: Classifier, x: np.ndarray, label: np.ndarray, seed: int) -> None:
    """Refuse a model that gives one class for every row, and for noise and negatives where inputs have bounds."""
    if len(np.unique(label)) > 1 or model.bounds is None or "continuous" not in model.capabilities:
        return
    low, high = model.bounds
    noise = low + (high - low) * Draws(seed, 64).spawn(7).uniform(*x.shape[1:])
    probes = np.concatenate([(low + high - x[:64]), noise]).astype(x.dtype)
    if (logits(run, model, probes, "probe").argmax(1) == label[0]).all():
        given = f"one class ({model.classes[label[0]]}) for every input, for its negative and for noise"
        raise Refused(asked, given, "a model whose answer depends on its input: robustness has no meaning here")
