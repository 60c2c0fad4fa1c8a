"""Does the gradient of the loss reach a model's first layers and earliest steps?"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch

from labkit.analyses import _examples
from labkit.analyses._flow.passes import Flow, flow, weights
from labkit.analyses._flow.steps import by_step
from labkit.analyses._guard import DEFAULT_BATCH, Run, unchanged
from labkit.analyses._preflight import preflight
from labkit.core import intervals
from labkit.core.refused import Refused
from labkit.core.resampling import stream
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.gradient_flow import GradientFlow, Triple
from labkit.training.learners import forget

LEAST = 30  # rows
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NONE = (float("nan"),) * 3
FEW = 0.1  # share of the examples that must be so long for a step to be told


@dataclass(frozen=True)
class Measured:
    """Norms (layers, n) by layer, (n, lags) by step, what is known of single entries, and which examples count."""

    flow: Flow
    layers: tuple[str, ...]
    norms: np.ndarray
    steps: np.ndarray
    bin: int

    @property
    def counts(self) -> np.ndarray:
        """(n,) whether any gradient leaves the loss: the last layer's is not 0."""
        return self.norms[-1] > 0

    @property
    def reach(self) -> tuple[Triple, Triple]:
        """The first layer's norm as a share of the last one's, and its root over the layers between."""
        first, last = self.norms[0, self.counts], self.norms[-1, self.counts]
        return _median(first / last, np.full(len(first), len(self.layers) - 1))

    @property
    def time_reach(self) -> tuple[Triple, Triple]:
        """The first step's norm as a share of the last one's, and its root over the steps between."""
        if not self.steps.shape[1]:
            return NONE, NONE
        length = (~np.isnan(self.steps)).sum(1)
        long = self.counts & (length > 1)
        first, last = self.steps[long, length[long] - 1], self.steps[long, 0]
        some = (first > 0) | (last > 0)
        with np.errstate(divide="ignore"):
            return _median(first[some] / last[some], length[long][some] - 1)


def gradient_flow(
    model: Classifier,
    split: Split,
    *,
    fresh: bool = False,
    rows: int = 128,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> GradientFlow:
    """Norms of the gradient of each example's loss at every layer with weights, and at every step of texts, series and
    sound, beside those with fresh weights.

    Gradients that vanish on their way back leave the first layers and the earliest steps without a signal to learn from,
    and those that explode drown it (Pascanu, Mikolov and Bengio, 2013, arXiv 1211.5063; for the factor a layer in wide
    random nets, Schoenholz et al., 2017, arXiv 1611.01232). Units whose gradient is exactly 0 on all examples are dead.
    What is small with fresh weights too is the architecture's or its initialisation's; what is not, training made.

    Norms are not comparable between layers of any shape: rescaling a layer, or normalising after it, changes them. They
    say something where they differ by orders of magnitude.

    Args:
        split: labelled rows.
        fresh: measure freshly drawn weights instead, each layer's as it draws its own; normalisation is fitted to the rows.
        rows: taken at random.
        seed: of the rows and the fresh weights.

    Raises:
        Refused: whatever preflight finds; a model without gradients, or fewer than two layers with weights; fewer than 30
            rows.
    """
    asked = f"the gradient flow of {getattr(model, 'name', model)}"
    rows = _examples.count(asked, "rows", rows, LEAST, 10**6)
    run = Run("gradient_flow", {"fresh": bool(fresh), "rows": rows}, seed, model, batch_size=batch_size)
    model.require("gradients", asked, "a torch model")
    split = _examples.labelled(asked, "rows", split, model.classes)
    run.data = split.describe()
    if len(split) < LEAST:
        raise Refused(asked, f"{len(split)} rows", f"{LEAST} or more")
    taken = split[np.sort(stream(seed, "gradient_flow", "rows").permutation(len(split))[:rows])]
    preflight(run, model, taken.x, taken.y)
    with unchanged(model):
        new = _fresh(model, taken.x, seed)
        judged = _measured(run, new if fresh else model, taken, "gradients")
        if len(judged.layers) < 2:
            given = f"a model with {len(judged.layers)} layers with weights that give plain tensors"
            raise Refused(asked, given, "a model of two such layers or more")
        control = None if fresh else _measured(run, new, taken, "gradients of fresh weights")
        own = weights(run, new if fresh else model, taken.x, taken.y, list(judged.layers))
    return _record(run, bool(fresh), model, judged, control, own)


def _measured(run: Run, model: Classifier, split: Split, what: str) -> Measured:
    found, gradient = flow(run, model, split.x, split.y, what)
    norms = np.array([torch.cat(parts).numpy() for parts in found.norms.values()])
    padding = 0 if model.padding is None else model.padding
    steps, size = by_step(split.schema, split.x, gradient, padding)
    return Measured(found, tuple(found.norms), norms, steps, size)


def _fresh(model: Classifier, x: np.ndarray, seed: int) -> Classifier:
    """The model with weights drawn anew, its batch normalisation fitted to the rows."""
    module = copy.deepcopy(model.module)
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        forget(module)
        new = replace(model, module=module)
        fitted = [(m, m.momentum) for m in norms if m.track_running_stats]
        for m, _ in fitted:
            m.momentum = 1.0
            m.train()
        if fitted:
            new(new.tensor(x))
        for m, momentum in fitted:
            m.momentum = momentum
    module.eval()
    return new


def _record(
    run: Run, fresh: bool, model: Classifier, judged: Measured, control: Measured | None, own: np.ndarray
) -> GradientFlow:
    counts, layers, found = judged.counts, judged.layers, judged.flow
    modules = dict(model.module.named_modules())
    told = (~np.isnan(judged.steps[counts])).sum(0)
    kept = np.flatnonzero(told >= max(1, FEW * counts.sum()))
    reason = (
        "" if counts.any() else "no row has a gradient: every answer is certain and right; take rows with some loss"
    )
    (reach, per_layer), (time_reach, per_step) = judged.reach, judged.time_reach
    dead = [int((~found.alive[name]).sum()) for name in layers]
    return GradientFlow(
        provenance=run.provenance(),
        status="not_measured" if reason else "measured",
        reason=reason,
        warnings=tuple(run.warnings),
        fresh=fresh,
        n=len(counts),
        settled=int((~counts).sum()),
        layers=layers,
        kinds=tuple(type(modules[name]).__name__ for name in layers),
        quantiles=np.array(QUANTILES),
        activation=_quantiles(judged.norms[:, counts].T),
        weight=_quantiles(own.T[counts[: own.shape[1]]]),
        weighed=int(counts[: own.shape[1]].sum()),
        zero=np.array([found.zeros[name] / max(found.entries[name], 1) for name in layers]),
        units=np.array([len(found.alive[name]) for name in layers]),
        dead=np.array(dead),
        reach=reach,
        per_layer=per_layer,
        control=np.zeros(0) if control is None else _quantiles(control.norms[:, control.counts].T)[:, 2],
        control_reach=NONE if control is None else control.reach[0],
        lags=kept * judged.bin,
        bin=judged.bin,
        time=_quantiles(judged.steps[counts][:, kept]),
        counted=told[kept],
        time_reach=time_reach,
        per_step=per_step,
        control_time=np.zeros(0) if control is None else _quantiles(control.steps[control.counts][:, kept])[:, 2],
        control_time_reach=NONE if control is None else control.time_reach[0],
    )


def _quantiles(values: np.ndarray) -> np.ndarray:
    """(k, quantiles) of the columns of (n, k) values, nan left out."""
    if not values.size:
        return np.full((values.shape[1], len(QUANTILES)), np.nan)
    return np.nanquantile(values, QUANTILES, axis=0).T


def _median(ratio: np.ndarray, between: np.ndarray) -> tuple[Triple, Triple]:
    """The median of ratios, and of their roots over as many layers or steps, with intervals."""
    if not len(ratio):
        return NONE, NONE
    root = ratio ** (1 / np.maximum(between, 1))
    plain, rooted = ((float(np.median(v)), *intervals.median(v)) for v in (ratio, root))
    return plain, rooted
