"""Do attributions of the same outputs agree?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses._guard import DEFAULT_BATCH, Run, check_classifier
from labkit.analyses.explain import explain
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.faithfulness._positions import positions, support
from labkit.faithfulness._ranks import spearman
from labkit.models.classifier import Classifier
from labkit.models.generative import Generative
from labkit.records.agreement import Agreement
from labkit.records.explain import Explanation

USUAL = ("integrated_gradients", "input_x_gradient", "occlusion", "kernel_shap", "saliency")


def agreement(
    model: Classifier | Generative,
    data: Split | np.ndarray | Tensor,
    methods: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] = USUAL,
    target: Any = None,
    baseline: Any = None,
    seed: int = 0,
    *,
    share: float = 0.1,
    background: Split | np.ndarray | Tensor | None = None,
    batch_size: int = DEFAULT_BATCH,
) -> Agreement:
    """Attributions of the same outputs by several methods, compared two by two: how many of the first-ranked positions
    they share, how often with the same sign, and how their rankings correlate (Krishna et al., 2022, arXiv 2202.01602).

    Agreement is no proof: methods may share a fault, and sound ones may answer different questions. A random map stands
    beside them to show what chance gives.

    Args:
        data, target, baseline, background: as for ``explain``.
        methods: names or functions; those that refuse the model, and those whose map is withheld, are listed with the
            reason.
        share: which part of an input's support is its top.

    Raises:
        Refused: fewer than two methods that run; a share outside of 0 to 1; what every one of them refuses.
    """
    if not isinstance(model, Generative):
        check_classifier(model, "agreement", values=True)
    if not 0 < share <= 1:
        raise Refused("agreement", f"share={share:g} of the support as the top", "a share above 0 and at most 1")
    wanted = registry.several("attributions", methods)
    run = Run("agreement", {"methods": tuple(wanted), "share": share}, seed)
    made: dict[str, Explanation] = {}
    out: dict[str, str] = {}
    settings = {"target": target, "baseline": baseline, "seed": seed, "background": background}
    for name, function in wanted.items():
        try:
            found = explain(model, data, function, evidence=(), batch_size=batch_size, **settings)
        except Refused as refusal:
            out[name] = refusal.given
            continue
        if found.status == "measured":
            made[name] = found
        else:
            out[name] = found.reason
    if len(made) < 2:
        why = "; ".join(f"{name}: {reason}" for name, reason in out.items())
        given = f"{len(made)} of {len(wanted)} methods with a map{f' ({why})' if why else ''}"
        raise Refused(f"agreement on {model.name}", given, "at least two methods that run on this model")
    one = next(iter(made.values()))
    top, sign, rank = _compared(made, seed, share)
    source = one.provenance
    stated = replace(run.provenance(), model=source.model, data=source.data, settings=source.settings)
    return Agreement(
        provenance=stated,
        warnings=tuple(dict.fromkeys(w for found in made.values() for w in found.warnings)),
        model=model.name,
        of=one.of,
        methods=(*made, "random"),
        excluded=tuple(out),
        reasons=tuple(out.values()),
        share=share,
        top=top,
        sign=sign,
        rank=rank,
    )


def _compared(made: dict[str, Explanation], seed: int, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(examples, methods, methods) of shared top positions, shared with their signs, and of rank correlations."""
    one = next(iter(made.values()))
    chance = Draws(seed, len(one)).spawn(1)
    maps = [torch.tensor(found.attribution) for found in made.values()]
    maps.append(torch.from_numpy(chance.normal(*one.x.shape[1:])))
    values = torch.stack([positions(v).double() for v in maps], 1).numpy()
    where = support(torch.tensor(one.x), torch.tensor(one.baseline)).numpy()
    ties = chance.spawn(1).uniform(*values.shape[1:])
    rows = [_row(np.nan_to_num(v[:, w]), t[:, w], share) for v, w, t in zip(values, where, ties)]
    hidden = np.isnan(values).any(2)  # of an example whose map is withheld nothing is compared
    apart = hidden[:, :, None] | hidden[:, None, :]
    top, sign, rank = (np.where(apart, np.nan, np.stack(parts)) for parts in zip(*rows))
    return top, sign, rank


def _row(values: np.ndarray, ties: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of one example: (methods, positions) values on its support. Each method's ties go by its own chance."""
    count = max(1, round(share * values.shape[1]))
    first = [np.lexsort((t, -np.abs(v)))[:count] for v, t in zip(values, ties)]
    chosen = np.zeros(values.shape)
    for row, places in zip(chosen, first):
        row[places] = 1
    signed = chosen * np.sign(values)
    top = chosen @ chosen.T / count
    sign = ((signed > 0) @ (signed > 0).astype(float).T + (signed < 0) @ (signed < 0).astype(float).T) / count
    rank = np.array([[spearman(a, b) for b in values] for a in values])
    return top, sign, rank
