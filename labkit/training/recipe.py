"""What makes a reference model: every hyperparameter, its data, and what its card says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from labkit.core.record import freeze
from labkit.data.split import Split


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run gives, but for the seed and the hardware.

    Attributes:
        data, data_options: the data set by name, and the options of its loader.
        architecture, config: the architecture by name, and its options.
        from_data: the rest of the architecture's options, read from the training examples: means, table sizes.
        baseline: the reference input for attributions, read from the training examples; None means zeros.
        embedding: the submodule in which gradients are taken, for inputs that are not continuous.
        padding: the input value that stands for nothing.
        epochs, batch_size: at most so many passes, in batches of so many examples.
        optimizer: "sgd" (Nesterov momentum 0.9) or "adamw".
        rate: the largest learning rate, reached after the share ``warmup`` of all steps; then a cosine to zero.
        weight_decay: on matrices and kernels only, not on biases, gains and shifts.
        label_smoothing: share of the target spread over all classes (Szegedy et al., 2016, arXiv 1512.00567).
        clip: the largest norm of a gradient; 0 leaves it.
        average: decay of the moving average of the weights that is judged and shipped; 0 ships the weights themselves.
        shift, flip: images are moved by up to so many pixels each step, and mirrored half of the time.
        word_dropout: share of the words replaced by the unknown word each step.
        validation: share of the training examples held out, on which the best epoch is chosen.
        watch: what the best epoch is best in.
        patience: stop when so many epochs brought nothing better; 0 never stops early.
        low_precision: bfloat16 autocast where the device computes it natively.
        compile: torch.compile on CUDA.
        score, floor: the measure on the card, and the least value with which the model may ship.
        card: licence, intended use and known failures, for the card.
    """

    name: str
    data: str
    data_options: Mapping[str, Any] = field(default_factory=dict)
    architecture: str
    config: Mapping[str, Any] = field(default_factory=dict)
    from_data: Callable[[Split], Mapping[str, Any]] | None = None
    baseline: Callable[[Split], np.ndarray] | None = None
    embedding: str | None = None
    padding: int | None = None
    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "adamw"]
    rate: float
    warmup: float = 0.25
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    clip: float = 0.0
    average: float = 0.0
    shift: int = 0
    flip: bool = False
    word_dropout: float = 0.0
    validation: float = 0.05
    watch: Literal["loss", "accuracy"] = "accuracy"
    patience: int = 0
    low_precision: bool = False
    compile: bool = False
    score: Literal["accuracy", "auc"] = "accuracy"
    floor: float = 0.0
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every field that decides the weights, as plain values; functions by their name."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("score", "floor", "card")}
        return {name: _plain(value) for name, value in told.items()}


def _plain(value: Any) -> Any:
    if callable(value):
        return value.__name__.strip("_")
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
