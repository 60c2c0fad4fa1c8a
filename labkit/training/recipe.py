"""What makes a reference model: every hyperparameter, its data, and what its card says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

import numpy as np

from labkit.core.record import freeze
from labkit.data.split import Split
from labkit.training.measures import Goal
from labkit.training.objectives import CrossEntropy, Objective

State = Mapping[str, Any]
_OF_THE_LOOP = {
    "epochs", "batch_size", "objective", "optimizer", "rate", "warmup", "weight_decay", "label_smoothing", "clip", "average",
    "shift", "flip", "erase", "word_dropout", "validation", "watch", "patience", "together", "low_precision", "compile",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run gives, but for the seed and the hardware.

    Attributes:
        data, data_options: the data set by name, and the options of its loader.
        examples: train on so many of the training examples, chosen once for all seeds; 0 takes all.
        damage: what is done to the training examples on purpose, so that a tool has something to find.
        architecture, config: the architecture by name, and its options.
        from_data: the rest of the architecture's options, read from the training examples: means, table sizes.
        baseline: the reference input for attributions, read from the training examples; None means zeros.
        embedding: the submodule in which gradients are taken, for inputs that are not continuous.
        padding: the input value that stands for nothing.
        epochs, batch_size: at most so many passes, in batches of so many examples.
        objective: what is minimised; None means cross-entropy with ``label_smoothing``.
        solver: for models that no gradient trains: (training examples, seed) -> architecture's options and state.
            The loop, and every field that speaks of it, is then left out.
        optimizer: "sgd" (Nesterov momentum 0.9) or "adamw".
        rate: the largest learning rate, reached after the share ``warmup`` of all steps; then a cosine to zero.
        weight_decay: on matrices and kernels only, not on biases, gains and shifts.
        label_smoothing: share of the target spread over all classes (Szegedy et al., 2016, arXiv 1512.00567).
        clip: the largest norm of a gradient; 0 leaves it.
        average: decay of the moving average of the weights that is judged and shipped; 0 ships the weights themselves.
        shift, flip: images are moved by up to so many pixels each step, and mirrored half of the time.
        erase: each image loses a square of so many pixels a side each step.
        word_dropout: share of the words replaced by the unknown word each step.
        validation: share of the training examples held out, on which the best epoch is chosen.
        watch: what the best epoch is best in, on the examples held out; "train_loss" is for a model that is to remember.
        patience: stop when so many epochs brought nothing better; 0 never stops early.
        together: several seeds train at once, as one stack of models: for small models.
        low_precision: bfloat16 autocast where the device computes it natively.
        compile: torch.compile on CUDA.
        goals: what the card tells, and what must be reached before the model may ship. The first is the headline.
        card: licence, intended use and known failures, for the card; ``kept``: the embedded data set that holds the training
            rows as they were, where they were damaged; ``twin``: the model that differs in what this one is to show.
    """

    name: str
    data: str
    data_options: Mapping[str, Any] = field(default_factory=dict)
    examples: int = 0
    damage: Callable[[Split], Split] | None = None
    architecture: str
    config: Mapping[str, Any] = field(default_factory=dict)
    from_data: Callable[[Split], Mapping[str, Any]] | None = None
    baseline: Callable[[Split], np.ndarray] | None = None
    embedding: str | None = None
    padding: int | None = None
    epochs: int = 0
    batch_size: int = 256
    objective: Objective | None = None
    solver: Callable[[Split, int], tuple[Mapping[str, Any], State]] | None = None
    optimizer: Literal["sgd", "adamw"] = "adamw"
    rate: float = 1e-3
    warmup: float = 0.25
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    clip: float = 0.0
    average: float = 0.0
    shift: int = 0
    flip: bool = False
    erase: int = 0
    word_dropout: float = 0.0
    validation: float = 0.05
    watch: Literal["loss", "accuracy", "train_loss"] = "accuracy"
    patience: int = 0
    together: bool = False
    low_precision: bool = False
    compile: bool = False
    goals: tuple[Goal, ...]
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def minimised(self) -> Objective:
        """What a step makes small."""
        return self.objective or CrossEntropy(self.label_smoothing)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every field that decides the weights, as plain values; functions by their name, absent ones left out."""
        left_out = {"goals", "card"} | (_OF_THE_LOOP if self.solver else set())
        told = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name not in left_out}
        return {name: value for name, value in told.items() if value is not None}

    def merit(self, epoch: Mapping[str, Any]) -> Any:
        """What is watched, of an epoch's values by their curves' names: the greater the better."""
        if self.watch == "accuracy":
            return epoch["valid_accuracy"]
        return -epoch["train_loss" if self.watch == "train_loss" else "valid_loss"]

    def prepared(self, train: Split) -> Split:
        """The examples that are trained on: so many of those given, with the damage done to them."""
        if self.examples:
            chosen = np.random.default_rng(0).permutation(len(train))[: self.examples]
            train = train[np.sort(chosen)]
        return self.damage(train) if self.damage else train

    def shortened(self, budget: float) -> Recipe:
        """The same recipe with a share of its epochs, one at the least."""
        return replace(self, epochs=max(1, round(budget * self.epochs))) if self.epochs else self


def plain(value: Any) -> Any:
    """Nested values as TOML and JSON have them: dataclasses by kind and fields, functions by name."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__} | {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if callable(value):
        return value.__name__.strip("_")
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value
