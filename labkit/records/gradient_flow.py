"""How large gradients are through a model's depth, and through time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Triple = tuple[float, float, float]
ByLayer = Annotated[np.ndarray, Dims("layer")]
Spread = Annotated[np.ndarray, Dims("layer", "quantile")]


@dataclass(frozen=True, kw_only=True)
class GradientFlow(Record):
    """Norms of the gradient of each example's loss (cross-entropy, nats), layer by layer and step by step.

    Three numbers are a median over examples and the ends of its 95 % interval.

    Attributes:
        fresh: whether the weights are freshly drawn ones in place of the model's.
        n: examples; settled: those of them without any gradient, because the answer is certain and right; left out.
        layers, kinds: layers with weights in the order in which they finish, and their classes.
        quantiles: the shares of examples below the values along that axis.
        activation: (layer, quantile) of the gradient with respect to a layer's output.
        weight: (layer, quantile) of that with respect to its parameters, of one example; weighed: how many examples.
        zero: (layer,) share of the gradient's entries that are exactly 0.
        units, dead: (layer,) units or channels of its output, and those whose gradient is 0 on every example and place.
        reach: the first layer's norm as a share of the last one's. per_layer: its root over the layers between.
        control: (layer,) median norms with fresh weights, control_reach: what reaches the first layer with them; nan and
            empty where the record is of fresh weights itself.
        lags: (step,) steps of an example that come after, 0 for its last; empty without time. bin: entries in a step.
        time: (step, quantile) of the gradient with respect to a step of the input; counted: (step,) examples so long.
        time_reach: the first step's norm as a share of the last one's. per_step: its root over the steps between.
        control_time, control_time_reach: with fresh weights.
    """

    fresh: bool
    n: int
    settled: int
    layers: tuple[str, ...]
    kinds: tuple[str, ...]
    quantiles: Annotated[np.ndarray, Dims("quantile")]
    activation: Spread
    weight: Spread
    weighed: int
    zero: ByLayer
    units: ByLayer
    dead: ByLayer
    reach: Triple
    per_layer: Triple
    control: Annotated[np.ndarray, Dims("control")]
    control_reach: Triple
    lags: Annotated[np.ndarray, Dims("step")]
    bin: int
    time: Annotated[np.ndarray, Dims("step", "quantile")]
    counted: Annotated[np.ndarray, Dims("step")]
    time_reach: Triple
    per_step: Triple
    control_time: Annotated[np.ndarray, Dims("control step")]
    control_time_reach: Triple
