"""Robust accuracy of sound and masked models: ``labkit.robustness_curve`` as it comes against AutoAttack's standard version.

``python -m benchmarks robust_accuracy [--only NAME ...] [--rows N]`` wants ``pip install
git+https://github.com/fra31/auto-attack``. Both sides get the same rows, budget and thread, and take turns to begin; seconds
are the processor's, so that other work on the machine does not count. Ours also pays for its controls and for the evidence
that its checks read. Points of either side count where the model, asked
again, gives a finite and wrong answer within the budget (of a model that answers at random, its mean over 100 answers).

A masked model is one of ``labkit.models.defenses``: what fools the model within mostly fools it too. So its best known bound
counts a row as broken where AutoAttack breaks it, or where the point that AutoAttack found on the model within does.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import labkit as lk
from benchmarks._sound_models import dense, small_cnn
from labkit.attacks._search import distance, margin
from labkit.models import defenses
from labkit.models.classifier import Classifier

SURE = 100  # answers of a model that answers at random, for its mean
AS_ROUNDED = 1 + 1e-5
HEAD = ("model", "threat", "rows", "clean", "labkit", "AutoAttack", "best known", "labkit s", "AutoAttack s", "ratio")


@dataclass(frozen=True)
class Case:
    """A model without its mask, the rows, and the budget."""

    name: str
    model: Callable[[], Classifier]
    data: str
    rows: int
    eps: float
    norm: str = "linf"
    masks: tuple[Callable[[Classifier], Classifier], ...] = ()


def cases() -> Iterator[Case]:
    """Four sound models and seven masks; on ``digits_dense`` options were chosen, so it judges nothing unless it is asked for."""
    d = defenses
    masks = (d.rounded, d.shattered, d.noisy, d.jpeg_like, d.nan_when_unsure, d.saturated, d.purified)
    yield Case("digits_cnn, L2", lambda: trained("digits_cnn", small_cnn()), "digits", 200, 0.6, "l2")
    yield Case("digits_cnn", lambda: trained("digits_cnn", small_cnn()), "digits", 100, 0.12, masks=masks)
    yield Case("fashion_robust", lambda: lk.zoo.load("fashion_robust", device="cpu"), "fashion_mnist", 50, 0.1)
    yield Case("fashion_cnn", lambda: lk.zoo.load("fashion_cnn", device="cpu"), "fashion_mnist", 60, 0.03)
    yield Case("fashion_resnet", lambda: lk.zoo.load("fashion_resnet", device="cpu"), "fashion_mnist", 40, 0.03)
    yield Case("digits_dense", lambda: trained("digits_dense", dense(64, 64, 10)), "digits", 200, 0.08, masks=masks)


def trained(name: str, module: nn.Module, steps: int = 150) -> Classifier:
    """A small net on all the training digits."""
    data = lk.data.load("digits")
    x, y = torch.tensor(data.train.x), torch.tensor(data.train.y)
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.reset_parameters()
    optimiser = torch.optim.Adam(module.parameters(), 5e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimiser.step()
    return lk.wrap(module.eval(), classes=data.classes, bounds=(0, 1), name=name)


def main() -> None:
    """Print one line a model as it is done."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="+", default=[])
    options.add_argument("--rows", type=int, default=10_000)
    asked, _ = options.parse_known_args()
    try:
        import autoattack  # noqa: F401
    except ImportError:
        sys.exit("AutoAttack is not installed: pip install git+https://github.com/fra31/auto-attack")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"| {' | '.join(HEAD)} |\n| {' | '.join('---' for _ in HEAD)} |")
    for turn, case in enumerate(cases()):
        if any(name in case.name for name in asked.only) or (not asked.only and case.name != "digits_dense"):
            compare(replace(case, rows=min(case.rows, asked.rows)), turn)


def compare(case: Case, turn: int) -> None:
    """The model as it is, then behind each of its masks."""
    model, split = case.model(), lk.data.load(case.data).test[: case.rows]
    within = judged(case, model, split, None, first=turn % 2)
    for k, mask in enumerate(case.masks):
        judged(case, mask(model), split, within, first=k % 2)


def judged(case: Case, model: Classifier, split: lk.data.Split, within: Tensor | None, first: int) -> Tensor:
    """Both sides on one model, printed; returns AutoAttack's points. ``first``: who begins."""
    sides: list[Callable[..., Any]] = [ours, theirs]
    found = {side: timed(side, case, model, split) for side in (sides[::-1] if first else sides)}
    (mine, seconds), (points, theirs_took) = found[ours], found[theirs]
    x = torch.tensor(split.x)
    clean, stand = (standing(model, p, split, case).numpy() for p in (x, points))
    best = stand & clean
    if within is not None:
        best = best & standing(model, within, split, case).numpy()
    shares = [f"{100 * float(v.mean()):.1f}" for v in (clean, mine, stand & clean, best)]
    print(
        f"| {model.name} | {case.norm} {case.eps:g} | {len(x)} | {' | '.join(shares)} | {seconds:.1f} | {theirs_took:.1f} | "
        f"{theirs_took / seconds:.1f} |",
        flush=True,
    )
    return points


def timed(side: Callable[..., Any], *given: Any) -> tuple[Any, float]:
    """What a side finds, and its seconds."""
    torch.manual_seed(0)
    start = time.process_time()
    return side(*given), time.process_time() - start


def ours(case: Case, model: Classifier, split: lk.data.Split) -> np.ndarray:
    """(n,) which rows stand against the default ensemble."""
    curve = lk.robustness_curve(model, split, eps=[case.eps], norm=case.norm)
    return np.asarray(curve.broken_at.min(0) > case.eps)


def theirs(case: Case, model: Classifier, split: lk.data.Split) -> Tensor:
    """AutoAttack's points. A model that gives no gradient at all, at which it would stop, gives zeros instead."""
    from autoattack import AutoAttack

    def answers(x: Tensor) -> Tensor:
        return model(x) + 0 * x.flatten(1).sum(1, keepdim=True)

    attack = AutoAttack(answers, norm=case.norm.capitalize(), eps=case.eps, device="cpu", seed=0, verbose=False)
    with contextlib.redirect_stdout(io.StringIO()):
        points = attack.run_standard_evaluation(torch.tensor(split.x), torch.tensor(split.y))
    return points.detach()


def standing(model: Classifier, points: Tensor, split: lk.data.Split, case: Case) -> Tensor:
    """(n,) where the answer is right, or not finite, or the point is not within the budget."""
    x, y = torch.tensor(split.x), torch.tensor(split.y)
    with torch.no_grad():
        random = not torch.equal(model(x).nan_to_num(), model(x).nan_to_num())
        logits = model(points)
        if random:
            logits = torch.stack([model(points).softmax(1) for _ in range(SURE)]).mean(0)
    near = distance(points, x, case.norm) <= case.eps * AS_ROUNDED
    return ~((margin(logits, y) > 0) & near)


if __name__ == "__main__":
    main()
