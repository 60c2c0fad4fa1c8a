"""Why this output? An attribution, with evidence whether it can be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses import _asking
from labkit.analyses._explain.explaining import Attribute, Case, Facts, gather, refuse_not_finite
from labkit.analyses._explain.faithful import Judged, scores
from labkit.analyses._explain.reaching import check_embedding, unreached
from labkit.analyses._explain.withheld import Found, held_back, withheld
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, batched, logits, probabilities, unchanged
from labkit.analyses._preflight import check_targets, preflight
from labkit.core import method as methods
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.generative import Generative
from labkit.records.explain import Explanation, blanked

NEAR = 0.1  # least fall of the target's probability from input to baseline
RELAXED = 1e-3  # difference of logits, as a share, from which a baseline in the embedding is another one


def explain(
    model: Classifier | Generative,
    data: Split | np.ndarray | Tensor,
    method: str | Callable[..., Any] = "integrated_gradients",
    target: Any = None,
    baseline: Any = None,
    seed: int = 0,
    *,
    against: int | str | None = None,
    features: Any = None,
    background: Split | np.ndarray | Tensor | None = None,
    evidence: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None,
    batch_size: int = DEFAULT_BATCH,
    **options: Any,
) -> Explanation:
    """What each entry of an input contributes to a number of the model's output, by one method, with its faithfulness
    measures. Unless asked otherwise the number is the logit of the class that the model answers.

    Args:
        data: a Split (then columns and words are named), or inputs (n, ...).
        method: a name from ``labkit.names("attributions")``, or a function of the same form.
        target: a class (its index or name), one for each row, or None for the predicted class; or any number of the
            output, as a function of it that gives (n,), such as ``lambda out: out[:, 4, 2]``. Of a model that makes data,
            a function of (module, x).
        against: a class whose logit is taken off the target's, or "rest" for the largest of all others.
        baseline: what the inputs are compared with: a number, one input, one for each row, or None for the model's own
            baseline (zeros where it has none).
        features: which entries make one feature, for methods that take features away, and to be read together: an array
            of one input's shape with the number of each entry's feature, or {name: columns} for a table's one-hot
            columns. None takes columns, words, and squares of images.
        background: rows that stand for what inputs usually are (a Split, or inputs), for methods that average over them.
        seed: of every draw. Results do not depend on ``batch_size``.
        evidence: the faithfulness measures to take; None takes all but the costly ones. Each is also taken of maps that
            explain nothing.
        options: the method's tunables.

    Returns:
        Explanation. A row's map is withheld (nan) where it vanishes though the output changes (saturation, rounding), and
        where a method that promises to add up misses over 5 % of the output's change. Where that is so on half of the
        rows or over all of them, the whole is "not_measured".

    Raises:
        Refused: whatever preflight finds; a misspelt option; targets that are not classes, or give no number a row; a
            baseline that is not finite, of another shape, or equal to the input; features or a background that do not
            fit the inputs; attributions that are not finite.
    """
    function, name = registry.find("attributions", method), registry.label(method)
    spec = methods.bind("attributions", name, function, options)
    measures = registry.several("faithfulness", _usual() if evidence is None else evidence)
    model, target, of = _asking.what_of(model, target, against)
    x, y, about = as_split(data, model)
    settings = {"method": name, "of": of, **spec.options, "evidence": tuple(measures)}
    run = Run("explain", settings, seed, model, about, batch_size, values=True)
    preflight(run, model, x, y)
    asked = f"{name} on {model.name}"
    outputs = logits(run, model, x)
    check_embedding(run, asked, model, x, outputs)
    label = outputs.argmax(1).astype(np.int64)
    targets = label if target is None else check_targets(asked, target, len(x), len(model.classes))
    start = _asking.baseline(asked, model, baseline, x)
    promises = methods.promises(function)
    from_outputs = logits(run, model, start, "baseline")
    refuse_not_finite(asked, "outputs at the baseline", from_outputs)
    proba, baseline_proba = (_proba(model, o, targets) for o in (outputs, from_outputs))
    _warn_of_near_baseline(run, proba, baseline_proba)
    end = _relaxed(run, model, x, start, from_outputs) if "relaxed" in promises and model.embedding else from_outputs
    change, rounding = _change(model, outputs, end, targets)

    shown = _shown(data, x)
    parts = _asking.features(asked, features, x, shown.get("names", ()))
    rows_of = _asking.background(asked, function, model, background, x)
    attribute = Attribute(function, spec, batch_size, None if parts is None else parts.number, rows_of)
    draws = Draws(seed, len(x))
    case = Case(model, x, targets, start, change)

    def explained(rows: slice) -> tuple[Tensor, Facts]:
        return attribute.with_facts(**case.tensors(rows), generator=draws[rows])

    with unchanged(model):
        values, facts = gather(run, name, explained, len(x))
        refuse_not_finite(asked, "attributions", values)
        judged = Found(case, values, rounding, promises)
        reason = withheld(run, asked, judged, draws.spawn(99))
        reason = reason or unreached(run, asked, case, values, attribute, draws)
        hidden = np.ones(len(x), bool) if reason else held_back(run, judged)
        _warn_of_unreached(run, facts)
        found = {} if reason else scores(run, measures, case, Judged(values, attribute), draws)
    return Explanation(
        provenance=run.provenance(),
        status="not_measured" if reason else "measured",
        reason=reason,
        warnings=tuple(run.warnings),
        method=name,
        options=spec.options,
        of=of,
        complete="complete" in promises,
        x=x,
        baseline=start,
        attribution=blanked(values, hidden),
        target=targets,
        predicted=label,
        y=y,
        proba=proba,
        baseline_proba=baseline_proba,
        change=change,
        classes=model.classes,
        facts={} if reason else {name: blanked(fact, hidden) for name, fact in facts.items()},
        scores={name: score.blanked(hidden) for name, score in found.items()},
        features=None if parts is None else parts.number,
        feature_names=() if parts is None else parts.names,
        **shown,
    )


def _usual() -> tuple[str, ...]:
    """All faithfulness measures but the costly ones."""
    every = registry.names("faithfulness")
    return tuple(name for name in every if "costly" not in methods.promises(registry.find("faithfulness", name)))


def _change(
    model: Classifier, outputs: np.ndarray, end: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) by how much the target's score is higher than at the baseline, and the rounding of either score."""
    here, there = (np.take_along_axis(v.astype(np.float64), targets[:, None], 1)[:, 0] for v in (outputs, end))
    size = np.maximum(np.abs(here), np.abs(there))
    size = np.maximum(size, 1) if model.outputs == "probabilities" else size  # their logarithms are as exact as they
    return here - there, torch.finfo(model.dtype).eps * size


def _proba(model: Classifier, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) the target's probability; nan where the outputs are no classes' logits."""
    if model.outputs == "values":
        return np.full(len(outputs), np.nan)
    return np.take_along_axis(probabilities(outputs), targets[:, None], 1)[:, 0]


def _relaxed(run: Run, model: Classifier, x: np.ndarray, start: np.ndarray, hard: np.ndarray) -> np.ndarray:
    """(n, classes) logits where the embedding is the baseline's and all else the model reads is the input's."""

    def part(rows: slice) -> Tensor:
        z, _ = model.relax(model.tensor(start[rows]))
        return model.relax(model.tensor(x[rows]))[1](z).float()

    found = batched(run, "baseline", part, len(x)).numpy()
    gap = float(np.abs(found - hard).max())
    if gap > RELAXED * float(np.abs(hard).max() + 1):
        run.warn(
            f"the model reads more of an input than its embedding (such as where padding is): with the baseline in the "
            f"embedding alone its logits differ by up to {gap:.2g} from those at the baseline, and the attribution adds "
            "up to the change in the embedding"
        )
    return found


def _warn_of_unreached(run: Run, facts: Mapping[str, np.ndarray]) -> None:
    reached = facts.get("reached")
    if reached is not None and not reached.all():
        left = int((~reached.astype(bool)).sum())
        run.warn(f"{left} of {len(reached)} rows were left at max_samples with a standard error above the tolerance")


def _warn_of_near_baseline(run: Run, proba: np.ndarray, baseline_proba: np.ndarray) -> None:
    near = int((proba - baseline_proba < NEAR).sum())  # none where there are no probabilities
    if near:
        run.warn(
            f"from input to baseline the target's probability falls by less than {NEAR:g} on {near} of {len(proba)} "
            "rows: with this baseline the attribution explains a change that hardly happens"
        )


def _shown(data: Any, x: np.ndarray) -> dict[str, Any]:
    """The modality, and names and texts of entries, as plain values."""
    if not isinstance(data, Split):
        modality = {4: "image", 3: "series"}.get(x.ndim, "text" if x.dtype.kind in "iu" else "tabular")
        if x.ndim != 2:
            return {"modality": modality}
        names = () if modality == "text" else tuple(f"feature {i}" for i in range(x.shape[1]))
        return {"modality": modality, "names": names, "texts": tuple(tuple(f"{v:g}" for v in row) for row in x)}
    schema = data.schema
    if schema.modality in ("audio", "image", "series"):
        return {"modality": schema.modality}
    if schema.modality in ("text", "image+text"):
        words = tuple(tuple(schema.vocabulary[int(v)] if v else "" for v in row) for row in x[:, schema.pixels :])
        return {"modality": schema.modality, "texts": words, "picture": schema.picture}
    return {
        "modality": "tabular",
        "names": tuple(f.name for f in schema.features),
        "texts": tuple(tuple(schema.show(row)) for row in x),
    }
