"""Why this output? An attribution, with evidence whether it can be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import Tensor

from labkit.analyses._explaining import Attribute, Case, Facts, gather, refuse_not_finite
from labkit.analyses._faithful import Judged, scores
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, batched, logits, unchanged
from labkit.analyses._preflight import check_inputs, check_targets, preflight
from labkit.core import method as methods
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.core.record import Outcome
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.explain import Explanation

GAP = 0.05  # a sum that misses more than this share of the change contradicts the method's promise
NEAR = 0.1  # least fall of the target's probability from input to baseline
RELAXED = 1e-3  # difference of logits, as a share, from which a baseline in the embedding is another one
VANISHED = 1e-6  # an attribution below this share of the output's change is zero


def explain(
    model: Classifier,
    data: Split | np.ndarray | Tensor,
    method: str | Callable[..., Any] = "integrated_gradients",
    target: Any = None,
    baseline: Any = None,
    seed: int = 0,
    *,
    features: Any = None,
    background: Split | np.ndarray | Tensor | None = None,
    evidence: Iterable[str | Callable[..., Any]] | None = None,
    batch_size: int = DEFAULT_BATCH,
    **options: Any,
) -> Explanation:
    """What each entry of an input contributes to the target's logit, by one method, with its faithfulness measures.

    Args:
        data: a Split (then columns and words are named), or inputs (n, ...).
        method: a name from ``labkit.names("attributions")``, or a function of the same form.
        target: a class index, one for each row, or None for the predicted class.
        baseline: what the inputs are compared with: a number, one input, one for each row, or None for the model's own
            baseline (zeros where it has none).
        features: an array of one input's shape with the number of the feature that each entry belongs to, for methods
            that take features away; None takes columns, words, and squares of images.
        background: rows that stand for what inputs usually are (a Split, or inputs), for methods that average over them.
        seed: of every draw. Results do not depend on ``batch_size``.
        evidence: the faithfulness measures to take; None takes all. Each is also taken of three maps that explain
            nothing.
        options: the method's tunables.

    Returns:
        Explanation. Its status is "not_measured" where the map vanishes though the output changes (saturation,
        rounding), and "contradicted" where a method that promises to add up misses the output's change by over 5 %.

    Raises:
        Refused: whatever preflight finds; a misspelt option; targets that are not classes; a baseline that is not
            finite, of another shape, or equal to the input; attributions that are not finite.
    """
    function, name = registry.find("attributions", method), registry.label(method)
    spec = methods.bind("attributions", name, function, options)
    measures = {registry.label(m): registry.find("faithfulness", m) for m in _chosen(evidence)}
    x, y, about = as_split(data, model)
    settings = {"method": name, **spec.options, "evidence": tuple(measures)}
    run = Run("explain", settings, seed, model, about, batch_size)
    preflight(run, model, x, y)
    asked = f"{name} on {model.name}"
    outputs = logits(run, model, x)
    label = outputs.argmax(1).astype(np.int64)
    targets = label if target is None else check_targets(asked, target, len(x), len(model.classes))
    start = _baseline(asked, model, baseline, x)
    promises = methods.promises(function)
    from_outputs = logits(run, model, start, "baseline")
    refuse_not_finite(asked, "outputs at the baseline", from_outputs)
    proba, baseline_proba = (
        np.take_along_axis(_softmax(o), targets[:, None], 1)[:, 0] for o in (outputs, from_outputs)
    )
    _warn_of_near_baseline(run, proba, baseline_proba)
    end = _relaxed(run, model, x, start, from_outputs) if "relaxed" in promises and model.embedding else from_outputs
    change = np.take_along_axis(outputs.astype(np.float64) - end, targets[:, None], 1)[:, 0]

    attribute = Attribute(
        function, spec, batch_size, _features(asked, features, x), _background(asked, function, model, background, x)
    )
    draws = Draws(seed, len(x))
    case = Case(model, x, targets, start, change)

    def explained(rows: slice) -> tuple[Tensor, Facts]:
        return attribute.with_facts(**case.tensors(rows), generator=draws[rows])

    complete = "complete" in promises
    with unchanged(model):
        values, facts = gather(run, name, explained, len(x))
        refuse_not_finite(asked, "attributions", values)
        status, reason = _outcome(run, asked, values, x - start, change, complete)
        found = {} if status == "not_measured" else scores(run, measures, case, Judged(values, attribute), draws)
    return Explanation(
        provenance=run.provenance(),
        status=status,
        reason=reason,
        warnings=tuple(run.warnings),
        method=name,
        options=spec.options,
        complete=complete,
        x=x,
        baseline=start,
        attribution=values,
        target=targets,
        predicted=label,
        y=y,
        proba=proba,
        baseline_proba=baseline_proba,
        change=change,
        classes=model.classes,
        facts=facts,
        scores=found,
        **_shown(data, x),
    )


def _chosen(evidence: Iterable[str | Callable[..., Any]] | None) -> tuple[str | Callable[..., Any], ...]:
    if isinstance(evidence, str) or callable(evidence):
        return (evidence,)
    return registry.names("faithfulness") if evidence is None else tuple(evidence)


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _baseline(asked: str, model: Classifier, baseline: Any, x: np.ndarray) -> np.ndarray:
    """(n, *shape) baselines of the inputs' type, one for each row."""
    if baseline is None:
        baseline = model.reference(x)
    given = np.asarray(baseline.detach().cpu() if isinstance(baseline, Tensor) else baseline)
    if given.dtype.kind not in "biuf" or given.shape not in ((), x.shape[1:], x.shape):
        what = f"a baseline of type {given.dtype} and shape {given.shape} for inputs of shape {x.shape}"
        raise Refused(asked, what, "a number, one input, or one for each row")
    start = np.broadcast_to(given, x.shape).astype(x.dtype)
    low, high = model.bounds or (-np.inf, np.inf)
    if not np.isfinite(start).all() or start.min() < low - 1e-6 or start.max() > high + 1e-6:
        what = f"a baseline with values from {start.min():.3g} to {start.max():.3g}"
        raise Refused(asked, what, f"finite values within the bounds {low:g} to {high:g}")
    same = np.flatnonzero((start == x).reshape(len(x), -1).all(1))
    if len(same):
        what = f"a baseline equal to the input on {len(same)} of {len(x)} rows (first: {same[0]})"
        raise Refused(asked, what, "another baseline: there is no difference to attribute")
    return start


def _features(asked: str, features: Any, x: np.ndarray) -> np.ndarray | None:
    """(*shape) the number of the feature that each entry belongs to."""
    if features is None:
        return None
    given = np.asarray(features.detach().cpu() if isinstance(features, Tensor) else features)
    if given.dtype.kind not in "iu" or given.shape != x.shape[1:]:
        what = f"features of type {given.dtype} and shape {given.shape} for inputs of shape {x.shape}"
        raise Refused(asked, what, f"whole numbers in an array of the shape {x.shape[1:]}")
    return np.unique(given, return_inverse=True)[1].reshape(given.shape)


def _background(
    asked: str, function: Callable[..., Any], model: Classifier, background: Any, x: np.ndarray
) -> np.ndarray | None:
    """(m, *shape) rows that stand for what inputs usually are."""
    if background is None:
        if "background" in methods.needs(function):
            raise Refused(asked, "no background", "background=data.train[:100]: rows that show what inputs usually are")
        return None
    rows = as_split(background, model)[0]
    if rows.shape[1:] != x.shape[1:] or not len(rows):
        what = f"a background of shape {rows.shape} for inputs of shape {x.shape}"
        raise Refused(asked, what, "at least one row of the inputs' shape")
    check_inputs(f"{asked}, background", model, rows)
    return rows


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


def _warn_of_near_baseline(run: Run, proba: np.ndarray, baseline_proba: np.ndarray) -> None:
    near = int((proba - baseline_proba < NEAR).sum())
    if near:
        run.warn(
            f"from input to baseline the target's probability falls by less than {NEAR:g} on {near} of {len(proba)} "
            "rows: with this baseline the attribution explains a change that hardly happens"
        )


def _outcome(
    run: Run, asked: str, values: np.ndarray, moved: np.ndarray, change: np.ndarray, complete: bool
) -> tuple[Outcome, str]:
    """Whether the map says anything, and whether it keeps the method's promise to add up."""
    n = len(values)
    flat = np.abs(values.reshape(n, -1)).astype(np.float64)
    size = np.maximum(flat.max(1), (flat * np.abs(moved.reshape(n, -1))).max(1))
    zero = int((size <= VANISHED * np.abs(change)).sum())
    if 2 * zero >= n:
        return "not_measured", (
            f"{asked} gives a map that vanishes on {zero} of {n} rows, while the target's logit differs from the "
            f"baseline's by {np.abs(change).mean():.3g} on average. Where gradients vanish (saturated probabilities, "
            "rounding inside the model, a cut graph), occlusion and kernel_shap ask for outputs only; a model that ends "
            "in a softmax can be wrapped from the layer before it."
        )
    if zero:
        run.warn(f"the map vanishes on {zero} of {n} rows")
    if not complete:
        return "measured", ""
    total = values.reshape(n, -1).astype(np.float64).sum(1)
    missed = np.abs(total - change)
    if missed.sum() <= GAP * np.abs(change).sum():
        return "measured", ""
    worst = int(missed.argmax())
    return "contradicted", (
        f"{asked} promises to add up to the change of the target's logit and misses {missed.sum() / np.abs(change).sum():.0%} "
        f"of it over {n} rows; at the worst (row {worst}) it adds up to {total[worst]:.3g} where the logit changes by "
        f"{change[worst]:.3g}."
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
