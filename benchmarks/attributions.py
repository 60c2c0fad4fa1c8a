"""Integrated gradients until every row's completeness gap is at most 1 %: labkit against Captum at its best setting.

Captum takes one number of steps for all rows, so it is given the smallest that does for the worst row, found beforehand
and not timed, the quadrature that needs fewest, and the fastest of three batch sizes. labkit finds the steps of each row while it works.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from captum.attr import IntegratedGradients

import labkit as lk
from labkit.attributions.integrated_gradients import integrated_gradients

GAP, ROWS, ROUNDS = 0.01, 32, 3
METHODS = ("gausslegendre", "riemann_trapezoid", "riemann_middle")


def gap(model: lk.models.Classifier, x: torch.Tensor, target: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Completeness gap of each row, as a share of the change of its logit."""
    with torch.no_grad():
        change = (model(x) - model(torch.zeros_like(x))).gather(1, target[:, None])[:, 0]
    return (values.flatten(1).sum(1) - change).abs() / change.abs()


def steps_needed(
    captum: Callable[[str, int, int], torch.Tensor], worst: Callable[[torch.Tensor], float]
) -> dict[str, int]:
    """For each of Captum's quadratures the least steps, in rises of a half, that bring every row within the gap."""
    found = {}
    for method in METHODS:
        steps = 16
        while worst(captum(method, steps, 256)) > GAP and steps < 2000:
            steps = int(np.ceil(steps * 1.5))
        found[method] = steps
    return found


def fastest(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Least seconds of each call over a few rounds, in turns so that a busy machine hurts all alike."""
    seconds = {name: np.inf for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def main() -> None:
    """Print the seconds of both and their ratio."""
    model, data = lk.zoo.load("fashion_cnn"), lk.data.load("fashion_mnist")
    x = model.tensor(data.test.x[:ROWS])
    target, zero = model(x).argmax(1), torch.zeros_like(x)
    reached = IntegratedGradients(model)

    def captum(method: str, steps: int, batch: int) -> torch.Tensor:
        return reached.attribute(
            x, zero, target=target, n_steps=steps, method=method, internal_batch_size=max(batch, ROWS)
        )

    def ours() -> torch.Tensor:
        return integrated_gradients(model, x, target, zero, 256, tolerance=GAP)[0]

    needed = steps_needed(captum, lambda values: gap(model, x, target, values).max().item())
    method = min(needed, key=lambda m: needed[m])
    calls: dict[str, Callable[[], object]] = {
        f"captum {method}, {needed[method]} steps, batch {batch}": lambda b=batch: captum(method, needed[method], b)  # type: ignore[misc]
        for batch in (64, 256, 1024)
    }
    seconds = fastest({"labkit": ours, **calls})
    best = min(calls, key=lambda name: seconds[name])
    _, facts = integrated_gradients(model, x, target, zero, 256, tolerance=GAP)
    print(
        f"{ROWS} Fashion-MNIST images, {model.device}, {torch.get_num_threads()} threads, every row's gap at most {GAP:.0%}"
    )
    print(
        f"labkit: {seconds['labkit']:.2f} s, largest gap {gap(model, x, target, ours()).max():.2%}, "
        f"{facts['steps'].float().mean():.0f} steps a row (most {facts['steps'].max()})"
    )
    print(f"{best}: {seconds[best]:.2f} s")
    print(f"ratio captum / labkit: {seconds[best] / seconds['labkit']:.2f}")
