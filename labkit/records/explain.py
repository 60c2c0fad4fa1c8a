"""Explanation: an attribution with the evidence for and against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from labkit.core.record import Dims, Record, check_dims, freeze


@dataclass(frozen=True, kw_only=True)
class Score:
    """One faithfulness measure of an attribution.

    Attributes:
        values: one score an example; nan where it could not be computed. Empty when the measure does not apply.
        better: "lower", "higher", or "" when neither end is better in itself.
        more: what else the measure gives, each with the examples first.
        controls: the same measure of maps that explain nothing, by their name: "random", "constant", "input" (how far
            each entry is from the baseline), "edge" (where neighbours differ).
        not_applicable: why the measure does not apply, if it does not.
    """

    values: Annotated[np.ndarray, Dims("example")]
    better: str = ""
    more: Mapping[str, np.ndarray] = field(default_factory=dict)
    controls: Mapping[str, Score] = field(default_factory=dict)
    not_applicable: str = ""

    def __post_init__(self) -> None:
        freeze(self)
        check_dims(self)

    def blanked(self, rows: np.ndarray) -> Score:
        """The same without these examples: nan in their place, in the controls too."""
        return self._each(lambda values: blanked(values, rows))

    def at(self, rows: np.ndarray) -> Score:
        """The same of these examples."""
        return self._each(lambda values: values[rows])

    def _each(self, change: Callable[[np.ndarray], np.ndarray]) -> Score:
        if self.not_applicable:
            return self
        more = {name: change(v) for name, v in self.more.items()}
        controls = {name: score._each(change) for name, score in self.controls.items()}
        return replace(self, values=change(self.values), more=more, controls=controls)


def blanked(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values with nan in these rows; whole numbers and flags stay as they are."""
    if not rows.any() or values.dtype.kind != "f":
        return values
    return np.where(rows.reshape(-1, *[1] * (values.ndim - 1)), np.nan, values).astype(values.dtype)


@dataclass(frozen=True, kw_only=True)
class Explanation(Record):
    """Attributions of one method for some examples, and what they are worth.

    Attributes:
        method, options: the attribution and every tunable's value.
        of: which number of the target is explained: its "logit", that less another, its "value", or a function's.
        complete: whether the method promises to add up to ``change``.
        x: the inputs; baseline: what they are compared with.
        attribution: like x, for the target's score; nan where it is withheld.
        target: the class explained; predicted: the class that the model answers; y: the true class, when known.
        proba, baseline_proba: the target's probability at the input and at the baseline; nan where outputs are no classes.
        change: the target's score at the input minus that at the baseline; for methods that work in the embedding, the
            baseline's embedding in the input's place.
        classes: the class names.
        modality: "audio", "image", "series", "tabular", "text", or "image+text": pixel values, then words.
        picture: (channels, height, width) of the picture that begins an "image+text" input.
        names: the columns' names, for tables.
        texts: each example's entries as a person reads them, for tables and text; "" for padding. Of "image+text" the
            words only.
        features: the number of the feature that each entry belongs to, when they were given; feature_names: their names.
        facts: what the method says of each example, such as the "steps" it took. Those like x are maps: the
            "standard_error" of each value, or what stands beside the map.
        scores: the faithfulness measures by name.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    of: str = "logit"
    complete: bool = False
    x: Annotated[np.ndarray, Dims("example", "...")]
    baseline: Annotated[np.ndarray, Dims("example", "...")]
    attribution: Annotated[np.ndarray, Dims("example", "...")]
    target: Annotated[np.ndarray, Dims("example")]
    predicted: Annotated[np.ndarray, Dims("example")]
    y: Annotated[np.ndarray, Dims("example")] | None = None
    proba: Annotated[np.ndarray, Dims("example")]
    baseline_proba: Annotated[np.ndarray, Dims("example")]
    change: Annotated[np.ndarray, Dims("example")]
    classes: tuple[str, ...]
    modality: str
    picture: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    features: Annotated[np.ndarray, Dims("...")] | None = None
    feature_names: tuple[str, ...] = ()
    facts: Mapping[str, np.ndarray] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        shapes = {name: getattr(self, name).shape for name in ("x", "baseline", "attribution")}
        if len(set(shapes.values())) != 1:
            raise TypeError(f"an Explanation whose parts differ in shape: {shapes}")
        for name, score in self.scores.items():
            if not score.not_applicable and len(score.values) != len(self):
                raise TypeError(f"{len(score.values)} values of {name} for {len(self)} examples")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def withheld(self) -> np.ndarray:
        """(n,) which examples' maps are withheld."""
        return np.asarray(np.isnan(self.attribution).reshape(len(self), -1).any(1))

    def shown(self) -> Explanation:
        """The same of the examples whose maps are not withheld."""
        if not self.withheld.any() or self.withheld.all():
            return self
        rows = np.flatnonzero(~self.withheld)
        parts = ("x", "baseline", "attribution", "target", "predicted", "y", "proba", "baseline_proba", "change")
        kept: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows] for name in parts
        }
        return replace(
            self,
            **kept,
            texts=tuple(self.texts[i] for i in rows) if self.texts else (),
            facts={name: v[rows] for name, v in self.facts.items()},
            scores={name: score.at(rows) for name, score in self.scores.items()},
        )

    @property
    def control(self) -> np.ndarray | None:
        """The same method's attribution on a copy of the model with random weights, if it was computed."""
        score = self.scores.get("randomized_weights")
        return None if score is None else score.more.get("attribution")

    @property
    def standard_error(self) -> np.ndarray | None:
        """Of each value, like x, where the method samples."""
        return self.facts.get("standard_error")

    @property
    def beside(self) -> Mapping[str, np.ndarray]:
        """Maps like x that the method itself sets beside its own, by name."""
        return {k: v for k, v in self.facts.items() if v.shape == self.x.shape and k != "standard_error"}
