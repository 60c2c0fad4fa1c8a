"""What may be done to inputs of each kind, from the data, the constraints and training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from labkit.analyses._counterfactual.regions import NEAREST_OF, Regions, fills, squares
from labkit.analyses._counterfactual.table import Table
from labkit.analyses._counterfactual.words import Words, word_table
from labkit.analyses._guard import Run, as_split, logits
from labkit.analyses._preflight import check_inputs
from labkit.core import resampling
from labkit.core.refused import Refused
from labkit.data.constraints import Constraints, constraints
from labkit.data.schema import Feature, Schema
from labkit.data.split import Split
from labkit.models.classifier import Classifier

ASKED = "counterfactuals"
Ways = Table | Regions | Words


@dataclass(frozen=True, eq=False)
class Case:
    """What is asked: rows, the classes wanted, and training rows."""

    run: Run
    model: Classifier
    data: Any
    row: np.ndarray
    x: np.ndarray
    label: np.ndarray
    target: np.ndarray
    known: Split | None
    modality: str


def background_rows(
    asked: str, run: Run, model: Classifier, background: Any, x: np.ndarray, modality: str
) -> Split | None:
    """Training rows as a Split: with their labels, or the model's answers where they have none."""
    if modality == "text":
        return None
    if background is None:
        raise Refused(asked, "no background", "background=data.train: rows that show which values are usual")
    rows, labels, about = as_split(background, model)
    if rows.shape[1:] != x.shape[1:] or len(rows) < 2:
        what = f"a background of shape {rows.shape} for inputs of shape {x.shape}"
        raise Refused(asked, what, "two rows or more of the inputs' shape")
    check_inputs(f"{asked}, background", model, rows)
    run.options = {**run.options, "background": about}
    if isinstance(background, Split):
        return background
    if labels is None:
        labels = logits(run, model, rows, "background").argmax(1)
    names = tuple(Feature(f"feature {i}", "numeric") for i in range(rows.shape[1])) if modality == "tabular" else ()
    schema = Schema(modality, "class", rows.shape[1:], model.bounds, features=names)  # type: ignore[arg-type]
    return Split(rows, labels.astype(np.int64), schema, model.classes, "array")


def ways_of(case: Case, given: Any, features: Any, scale: Any, noise: float) -> tuple[Ways, dict[str, Any]]:
    """What may be done to the rows, and what that says for the provenance."""
    asked, model, x = f"{ASKED} of {case.model.name}", case.model, case.x
    if given is not None and case.modality != "tabular":
        raise Refused(asked, f"constraints for {case.modality} data", "constraints for tables alone")
    if features is not None and case.modality in ("tabular", "text"):
        raise Refused(
            asked, f"features for {case.modality} data", "constraints={'together': [...]} for one-hot columns"
        )
    if case.modality == "text":
        if not isinstance(case.data, Split) or model.embedding is None:
            raise Refused(asked, "word numbers without their words", "a Split, whose schema has the vocabulary")
        words = case.data.schema.vocabulary
        return Words(x, words, model.padding or 0, word_table(model, len(words))), {}
    known = case.known
    assert known is not None
    if case.modality == "tabular":
        schema = case.data.schema if isinstance(case.data, Split) else known.schema
        settled = constraints(given, schema, known.x)
        stated = given.together if isinstance(given, Constraints) else (given or {}).get("together")
        if settled.together and stated is None:
            case.run.warn(
                "columns of which exactly one is 1 in every background row change together: "
                f"{'; '.join(' | '.join(columns) for columns in settled.together)} (constraints={{'together': []}} lets each "
                "change alone)"
            )
        return Table(x, known.x, schema, settled, scale, noise), {"constraints": settled.describe()}
    region = squares(x.shape[1:]) if features is None else _regions(asked, features, x.shape[1:])
    some = known[np.sort(resampling.stream(case.run.seed or 0, ASKED, "nearest").permutation(len(known))[:NEAREST_OF])]
    answers = logits(case.run, model, some.x, "background").argmax(1)
    spread = float(known.x.std(dtype=np.float64)) or 1.0
    return Regions(x, region, fills(x, case.target, some.x, answers, region), model.bounds, spread, noise), {}


def _regions(asked: str, features: Any, shape: tuple[int, ...]) -> np.ndarray:
    given = np.asarray(features.detach().cpu() if isinstance(features, Tensor) else features)
    if given.dtype.kind not in "iu" or given.shape != shape:
        what = f"features of type {given.dtype} and shape {given.shape} for inputs of shape {shape}"
        raise Refused(asked, what, f"whole numbers in an array of the shape {shape}")
    return np.unique(given, return_inverse=True)[1].reshape(shape)
