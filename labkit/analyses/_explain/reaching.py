"""Whether gradients reach what the model reads: a cut graph gives zeros that look like an answer."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from labkit.analyses._explain.explaining import Attribute, Case
from labkit.analyses._guard import Run, logits
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier

ROWS = 16
MATTERS = 0.05  # share of the change that entries without credit may move
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)  # on the way from baseline to input, where a gradient is looked for
ALIKE = 1e-2  # difference of logits, as a share, from which the embedding is not given the inputs


def check_embedding(run: Run, asked: str, model: Classifier, x: np.ndarray, outputs: np.ndarray) -> None:
    """Refuse a model that changes its inputs on their way to the embedding: a map would be of other words."""
    if model.embedding is None:
        return
    rows = min(ROWS, run.batch_size)
    with torch.no_grad():
        z, forward = model.relax(model.tensor(x[:rows]))
        again = forward(z).float().cpu().numpy()
    gap = float(np.abs(again - outputs[:rows]).max())
    eps = torch.finfo(model.dtype).eps
    if gap > max(ALIKE, 16 * eps) * float(np.abs(outputs).max() + 1):
        given = f"a model whose embedding {model.embedding!r} is given something else than the inputs (logits differ by {gap:.2g})"
        raise Refused(
            asked, given, "a module that embeds its inputs as they come, once, with what changes them outside of it"
        )


def unreached(run: Run, asked: str, case: Case, values: np.ndarray, attribute: Attribute, draws: Draws) -> str:
    """Why a gradient method's exact zeros are none; empty where they are, and for methods that ask for outputs only.

    The entries without any credit are taken away together. Where that moves the score, though no gradient is found for
    them anywhere between baseline and input, the graph is cut.
    """
    dead = (values == 0).all(0) & (case.x != case.baseline).any(0)
    if not dead.any() or "gradients" not in case.model.capabilities:
        return ""
    each, x = np.arange(len(values)), np.where(dead, case.baseline, case.x)
    whole, without = (logits(run, case.model, v)[each, case.target].astype(np.float64) for v in (case.x, x))
    moved, size = np.abs(whole - without).sum(), np.abs(case.change).sum()
    if (
        moved <= MATTERS * size
        or _slopes(case, min(ROWS, run.batch_size))[:, torch.from_numpy(dead)].any()
        or not _asks(case, attribute, draws)
    ):
        return ""
    return (
        f"{asked} gives nothing at all to {dead.sum()} of {dead.size} entries, while taking these to the baseline moves the "
        f"target's score by {moved / max(size, 1e-300):.0%} of its change: no gradient reaches them (a cut graph, rounding, "
        "a lookup). occlusion and kernel_shap ask for outputs only."
    )


def _slopes(case: Case, rows: int) -> Tensor:
    """(rows, *shape) sizes of the gradient, summed over places between baseline and input."""
    given = case.tensors(slice(0, rows))
    z, forward = case.model.relax(given["x"])
    start, _ = case.model.relax(given["baseline"])
    total = torch.zeros(given["x"].shape)
    for at in PLACES:
        with torch.enable_grad():
            point = (start + at * (z - start)).detach().requires_grad_()
            out = forward(point).gather(1, given["target"][:, None]).sum()
        if out.requires_grad:
            (found,) = torch.autograd.grad(out, point, allow_unused=True)
            if found is not None:
                size = found.abs().float().cpu()
                total += size if size.shape == total.shape else size.sum(-1)
    return total


@dataclass(frozen=True, eq=False)
class _Blind(Classifier):
    """A model that says it has no gradients."""

    @property
    def capabilities(self) -> frozenset[str]:
        return super().capabilities - {"gradients"}


def _asks(case: Case, attribute: Attribute, draws: Draws) -> bool:
    """Whether the method refuses a model without gradients."""
    blind = _Blind(**{f.name: getattr(case.model, f.name) for f in fields(Classifier)})
    rows = slice(0, 1)
    try:
        attribute.with_facts(**{**case.tensors(rows), "model": blind}, generator=draws[rows])
    except Refused:
        return True
    return False
