"""Occlusion of 64 Fashion-MNIST images by a square of 4 x 4 at stride 1: labkit against Captum at its best batch size."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from captum.attr import Occlusion

import labkit as lk
from benchmarks._threads import one_and_all
from labkit.attributions.occlusion import occlusion

ROWS, SIDE, ROUNDS = 64, 4, 2
EACH = (1, 4, 16)  # squares of all rows in one pass


def at_best(method: Callable[[int, int], torch.Tensor], each: tuple[int, ...]) -> tuple[float, int, torch.Tensor]:
    """Least seconds at stride 1, with the size that is best on a tenth of the squares (not timed), and the values."""
    best = min(each, key=lambda number: timed(method, SIDE, number)[0])
    runs = [timed(method, 1, best) for _ in range(ROUNDS)]
    return min(run[0] for run in runs), best, runs[0][1]


def timed(method: Callable[[int, int], torch.Tensor], stride: int, number: int) -> tuple[float, torch.Tensor]:
    """How long a call takes, all work on the device included, and its values."""
    start = time.perf_counter()
    values = method(stride, number).cpu()
    return time.perf_counter() - start, values


def main() -> None:
    """Print the seconds of both on one thread and on all."""
    one_and_all(compare)


def compare() -> None:
    """Print the seconds of both, their ratio, and how far the values are apart."""
    model, data = lk.zoo.load("fashion_cnn"), lk.data.load("fashion_mnist")
    x = model.tensor(data.test.x[:ROWS])
    target, zero = model(x).argmax(1), torch.zeros_like(x)
    reached = Occlusion(model)
    each = EACH if model.device.type == "cpu" else (*EACH, 64, 256, 625)

    def captum(stride: int, number: int) -> torch.Tensor:
        with torch.no_grad():
            return reached.attribute(
                x, (1, SIDE, SIDE), (1, stride, stride), target=target, baselines=zero, perturbations_per_eval=number
            )

    def ours(stride: int, number: int) -> torch.Tensor:
        return occlusion(model, x, target, zero, ROWS * number, window=SIDE, stride=stride)

    captum_took, captum_each, theirs = at_best(captum, each)
    our_took, our_each, mine = at_best(ours, each)
    apart = float((theirs - mine).abs().max() / mine.abs().max())
    print(f"{ROWS} images, {model.device}, {torch.get_num_threads()} threads")
    print(f"labkit: {our_took:.2f} s, {our_each} squares of all images a pass")
    print(f"captum: {captum_took:.2f} s, {captum_each} squares of all images a pass")
    print(f"ratio captum / labkit: {captum_took / our_took:.2f}; values apart by at most {apart:.1e} of the largest")
