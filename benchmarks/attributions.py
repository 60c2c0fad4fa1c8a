"""Integrated gradients until every row's completeness gap is at most 1 %: labkit against Captum at its best setting.

Captum takes one number of steps for all rows, so it is given the smallest that does for the worst row, found beforehand
and not timed, the quadrature that needs fewest, and the fastest of three batch sizes. labkit finds the steps of each row,
and where on its line they must lie, while it works, at one batch size. Both run on one thread, then on all.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

import labkit as lk
from labkit.attributions.integrated_gradients import integrated_gradients

GAP, ROWS, ROUNDS = 0.01, 32, 3
METHODS = ("gausslegendre", "riemann_trapezoid", "riemann_middle")
CASES = {"fashion_cnn": "fashion_mnist", "adult_mlp": "adult", "movies_gru": "movies"}


def steps_needed(captum: Callable[[str, int, int], Tensor], worst: Callable[[Tensor], float]) -> dict[str, int]:
    """For each of Captum's quadratures the least steps, in rises of a half, that bring every row within the gap; one
    that would need more than another is given up."""
    found = {}
    for method in METHODS:
        steps, most = 2, min(found.values(), default=2000)
        while steps < most and worst(captum(method, steps, 256)) > GAP:
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


def compare(name: str, data: lk.data.Dataset, threads: int) -> None:
    """Print the seconds of both on one model, and their ratio."""
    torch.set_num_threads(threads)
    model = lk.zoo.load(name)
    x, baseline = (model.tensor(rows) for rows in (data.test.x[:ROWS], model.reference(data.test.x[:ROWS])))
    (z, forward), (start, _) = model.relax(x), model.relax(baseline)
    target = model(x).argmax(1)
    with torch.no_grad():
        change = (forward(z) - forward(start)).gather(1, target[:, None])[:, 0]
    reached = IntegratedGradients(forward)

    def captum(method: str, steps: int, batch: int) -> Tensor:
        return reached.attribute(
            z, start, target=target, n_steps=steps, method=method, internal_batch_size=max(batch, ROWS)
        )

    def ours() -> tuple[Tensor, dict[str, Tensor]]:
        return integrated_gradients(model, x, target, baseline, 256, tolerance=GAP)

    def worst(values: Tensor) -> float:
        return float(((values.flatten(1).sum(1) - change).abs() / change.abs()).max())

    needed = steps_needed(captum, worst)
    method = min(needed, key=lambda m: needed[m])
    calls: dict[str, Callable[[], object]] = {
        f"captum {method}, {needed[method]} steps, batch {batch}": lambda b=batch: captum(method, needed[method], b)  # type: ignore[misc]
        for batch in (64, 256, 1024)
    }
    seconds = fastest({"labkit": ours, **calls})
    best = min(calls, key=lambda call: seconds[call])
    values, facts = ours()
    print(f"{name}: {ROWS} rows, {model.device}, threads: {threads}, every row's gap at most {GAP:.0%}")
    print(
        f"  labkit: {seconds['labkit']:.3f} s, largest gap {worst(values):.2%}, "
        f"{facts['steps'].float().mean():.0f} steps a row (most {facts['steps'].max()})"
    )
    print(f"  {best}: {seconds[best]:.3f} s")
    print(f"  ratio captum / labkit: {seconds[best] / seconds['labkit']:.2f}", flush=True)


def main() -> None:
    """Print the ratios on an image, a table and a text model, on one thread and on all."""
    every = torch.get_num_threads()
    try:
        for threads in sorted({1, every}):
            for name, data in CASES.items():
                compare(name, lk.data.load(data), threads)
    finally:
        torch.set_num_threads(every)
