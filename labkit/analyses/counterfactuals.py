"""What would have to change for another answer? The smallest changes found, and for whom none was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor

from labkit.analyses._counterfactual.evidence import NEIGHBOUR
from labkit.analyses._counterfactual.found import searched
from labkit.analyses._counterfactual.regions import Regions
from labkit.analyses._counterfactual.search import Settings
from labkit.analyses._counterfactual.table import COSTS
from labkit.analyses._counterfactual.ways import ASKED, Case, background_rows, ways_of
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, logits, unchanged
from labkit.analyses._preflight import check_targets, preflight
from labkit.core.refused import Refused, unknown
from labkit.data.constraints import Constraints
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.records.counterfactuals import Counterfactuals

# Changes carried on, and alternatives tried from the second change on (0: all), where an answer costs little and much.
SEARCH = {"tabular": (8, 0), "image": (1, 24), "text": (2, 32), "series": (1, 24), "audio": (1, 24)}
INSTEAD = "tables, images, texts, series or sound; labkit.explain with occlusion says what any input's parts contribute"


def counterfactuals(
    model: Classifier,
    data: Dataset | Split | np.ndarray | Tensor,
    target: Any = None,
    *,
    background: Split | np.ndarray | Tensor | None = None,
    count: int = 1,
    constraints: Constraints | Mapping[str, Any] | None = None,
    features: Any = None,
    scale: Literal["quantile", "mad"] = "quantile",
    per_change: float = 1.0,
    lead: float = 0.05,
    noise: float = 0.02,
    width: int | None = None,
    enumerate_up_to: int = 2048,
    control: bool = True,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> Counterfactuals:
    """The cheapest changes found that give each row another answer (S. Wachter, B. Mittelstadt and C. Russell, 2017,
    arXiv 1711.00399), asked of the model again and held against the constraints by a check of its own.

    In tables columns change; in images, sound and series regions take the nearest training example of the target class,
    or are smoothed; in texts words are left out or replaced by near ones. The price of a change is ``per_change`` for
    each changed unit and a cost. What was not found may still exist, unless all was looked at (``none_exists``).

    Args:
        data: rows; of a Dataset the test rows, with the training rows as background.
        target: a class index or name, one index a row, or None for the most likely other class. Rows that have it
            already are left out.
        background: training rows: what values are usual, and what real rows of a class look like.
        count: how many for each row. Each further one avoids the dearest column (region, word) of every earlier one.
        constraints: for tables, what may change: ``labkit.data.constraints.Constraints`` or its fields as a mapping. The
            schema's immutable columns hold, and the ranges seen in training unless it gives other limits; columns that are
            one-hot in every training row change together unless ``together`` says otherwise.
        features: for images, sound and series, the number of each entry's region; None takes squares or stretches.
        scale: in which unit a number's change costs: "quantile" (share of training rows passed) or "mad".
        per_change: price of a changed unit, beside its cost. A large one asks for few changes, a small one for small ones.
        lead: how far the target's logit must be ahead of every other.
        noise: of the small noise, as a share of a value's standard deviation.
        width: how many unfinished changes of a row are carried on; None chooses by the kind of data.
        enumerate_up_to: rows with at most so many combinations are looked at in full.
        control: whether random search gets as many questions.
        batch_size: most inputs in one forward pass.

    Raises:
        Refused: whatever preflight finds; image with text; no background; constraints that do not fit.
    """
    if isinstance(data, Dataset):
        background = data.train if background is None else background
        data = data.test
    if scale not in COSTS:
        raise unknown(f"{ASKED} with scale", str(scale), COSTS)
    _check(count=(count, 1), per_change=(per_change, 0), lead=(lead, 0), noise=(noise, 0), width=(width or 1, 1))
    x, y, about = as_split(data, model)
    settings = {"target": _stated(target), "count": count, "scale": scale, "per_change": per_change, "lead": lead}
    settings |= {"noise": noise, "width": width, "enumerate_up_to": enumerate_up_to, "control": control}
    run = Run(ASKED, settings, seed, model, about, batch_size)
    asked = f"{ASKED} of {model.name}"
    preflight(run, model, x, y)
    scores = logits(run, model, x)
    aims = _targets(asked, model, target, scores)
    rows = np.flatnonzero(scores.argmax(1) != aims)
    modality = _modality(data, x)
    if modality not in SEARCH:
        raise Refused(asked, f"{modality} data", INSTEAD)
    known = background_rows(asked, run, model, background, x, modality)
    label = scores.argmax(1).astype(np.int64)
    case = Case(run, model, data, rows, x[rows], label[rows], aims[rows], known, modality)
    with unchanged(model):
        ways, stated = ways_of(case, constraints, features, scale, noise)
        run.options = {**run.options, **stated}
        beam, expand = SEARCH[modality]
        plan = Settings(per_change, lead, width or beam, expand, enumerate_up_to)
        parts = searched(case, ways, plan, count, control, seed)
    none_left = not len(rows)
    groups = {g: v[rows] for g, v in data.groups.items()} if isinstance(data, Split) else {}
    return Counterfactuals(
        provenance=run.provenance(),
        status="not_measured" if none_left else "measured",
        reason=f"the model gives all {len(x)} rows the target already" if none_left else "",
        warnings=tuple(run.warnings),
        classes=model.classes,
        modality=modality,
        noun=ways.noun,
        n_given=len(x),
        per_change=per_change,
        cost_of=ways.cost_of,
        noise_of=ways.noise_of,
        neighbour=NEIGHBOUR,
        row=rows,
        x=x[rows],
        label=case.label,
        target=aims[rows],
        groups=groups,
        names=ways.names,
        region=ways.region if isinstance(ways, Regions) else None,
        **parts,
    )


def _check(**least: tuple[float, float]) -> None:
    for name, (value, low) in least.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value < np.inf:
            raise Refused(f"{ASKED} with {name}={value!r}", f"a {type(value).__name__}", f"a number from {low:g} up")


def _stated(target: Any) -> Any:
    return target if target is None or isinstance(target, str | int) else np.asarray(target).tolist()


def _targets(asked: str, model: Classifier, target: Any, scores: np.ndarray) -> np.ndarray:
    """(n,) classes asked for; by default each row's most likely other class."""
    if target is None:
        order = np.argsort(-scores, axis=1, kind="stable")
        if scores.shape[1] < 2:
            raise Refused(asked, "a model of one class", "a model with two classes or more")
        return order[:, 1].astype(np.int64)
    if isinstance(target, str):
        if target not in model.classes:
            raise unknown(f"{asked} with target", target, model.classes)
        target = model.classes.index(target)
    return check_targets(asked, target, len(scores), len(model.classes))


def _modality(data: Any, x: np.ndarray) -> str:
    if isinstance(data, Split):
        return data.schema.modality
    return {4: "image", 3: "series"}.get(x.ndim, "text" if x.dtype.kind in "iu" else "tabular")
