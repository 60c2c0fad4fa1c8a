"""Does the attribution change when the model has learned labels that mean nothing?"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.faithfulness._positions import support
from labkit.faithfulness._ranks import alike
from labkit.faithfulness._redrawn import roughly
from labkit.models.classifier import Classifier

LEARNED = 0.9  # share of permuted labels that must be fitted
TOGETHER = 32  # rows a step


def randomized_labels(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    attribute: object,
    background: Tensor | None,
    generator: Draws,
    batch_size: int,
    memory: dict[Any, Any],
    *,
    rows: Annotated[int, Range(16, 10_000, log=True), "background rows to train on, at most"] = 64,
    epochs: Annotated[int, Range(1, 1000, log=True), "passes over them, at most"] = 200,
    rate: Annotated[float, Range(1e-5, 1, log=True), "Adam's step; a fifth of it where that fails"] = 5e-3,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "costly"]:
    """Spearman's correlation, on the input's support, between the sizes of an attribution and of the same method's on a
    copy of the model that was trained further, all layers, to give background rows permuted labels (Adebayo et al.,
    2018, arXiv 1810.03292, who train anew). The labels are the model's own answers, dealt out by chance, so rows without
    labels do. Training ends when nine tenths of them are learned.

    Returns:
        (n,) from -1 to 1: near 0 for a map that depends on what the labels mean; nan where a map is constant on the
        support. Also ``learned``, the share of the permuted labels that the copy gives, and ``kept``, the share of the
        model's own answers that it still gives.

    Raises:
        Refused: no background, outputs that are no classes, or rows on which permuted labels cannot be learned.
    """
    if background is None or model.outputs == "values":
        given = "no background rows to train on" if background is None else "a model whose outputs are no classes"
        raise Refused("randomized_labels", given, "background=data.train[:500] and a classifier; or randomized_weights")
    if "model" not in memory:
        memory["model"], memory["shares"] = _relearned(model, background[:rows], batch_size, epochs, rate)
    other = roughly(attribute)(memory["model"], x, target, baseline, generator)
    learned, kept = (torch.full((len(x),), share, dtype=torch.float64) for share in memory["shares"])
    return alike(attribution, other, support(x, baseline)), {"learned": learned, "kept": kept}


def _relearned(
    model: Classifier, x: Tensor, batch_size: int, epochs: int, rate: float
) -> tuple[Classifier, tuple[float, float]]:
    """A copy that has learned permuted labels, with the shares of them and of the true answers that it gives."""
    with torch.no_grad():
        own = torch.cat([model(part).argmax(1) for part in x.split(batch_size)])
    labels = own[torch.from_numpy(Draws(0, 1).uniform(len(x))[0].argsort()).to(own.device)]
    if len(own.unique()) < 2 or not any(p.is_floating_point() for p in model.module.parameters()):
        given = "background rows that the model gives one class, or a model without weights to train"
        raise Refused("randomized_labels", given, "randomized_weights")
    shares = (0.0, 0.0)
    for step in (rate, rate / 5):
        module = copy.deepcopy(model.module).requires_grad_(True)
        copied = replace(model, module=module, name=f"{model.name} on permuted labels")
        optimizer = torch.optim.Adam(module.parameters(), step)
        for _ in range(epochs):
            shares = _epoch(copied, optimizer, x, labels, own, batch_size)
            if shares[0] >= LEARNED:
                module.requires_grad_(False)
                return copied, shares
    given = f"a model that learns {shares[0]:.0%} of permuted labels in {epochs} passes"
    raise Refused("randomized_labels", given, "fewer background rows, or randomized_weights")


def _epoch(
    model: Classifier, optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor, own: Tensor, batch_size: int
) -> tuple[float, float]:
    """One pass, with the shares of the permuted labels and of the model's own answers that were given on the way."""
    hits = []
    for some, label, true in zip(x.split(TOGETHER), labels.split(TOGETHER), own.split(TOGETHER)):
        out = _step(model, optimizer, some, label, batch_size)
        hits.append(torch.stack([out == label, out == true]))
    learned, kept = torch.cat(hits, 1).double().mean(1).tolist()
    return learned, kept


def _step(model: Classifier, optimizer: torch.optim.Optimizer, x: Tensor, label: Tensor, batch_size: int) -> Tensor:
    """The answers before one step on these rows, of which at most ``batch_size`` are in memory at a time."""
    optimizer.zero_grad()
    answers = []
    for part, wanted in zip(x.split(batch_size), label.split(batch_size)):
        with torch.enable_grad():
            out = model(part).float()
            (nn.functional.cross_entropy(out, wanted, reduction="sum") / len(x)).backward()
        answers.append(out.argmax(1))
    optimizer.step()
    return torch.cat(answers)
