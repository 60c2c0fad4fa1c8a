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


def best_size(method: Callable[[int, int], torch.Tensor], each: tuple[int, ...]) -> int:
    """The size that is fastest on a tenth of the squares; finding it is not timed."""
    return min(each, key=lambda number: timed(method, SIDE, number)[0])


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

    captum_each, our_each = best_size(captum, each), best_size(ours, each)
    # in turns, so that a busy machine hurts both alike
    rounds = [(timed(captum, 1, captum_each), timed(ours, 1, our_each)) for _ in range(ROUNDS)]
    captum_took, our_took = (min(run[side][0] for run in rounds) for side in (0, 1))
    theirs, mine = rounds[0][0][1], rounds[0][1][1]
    apart = float((theirs - mine).abs().max() / mine.abs().max())
    print(f"{ROWS} images, {model.device}, {torch.get_num_threads()} threads")
    print(f"labkit: {our_took:.2f} s, {our_each} squares of all images a pass")
    print(f"captum: {captum_took:.2f} s, {captum_each} squares of all images a pass")
    print(f"ratio captum / labkit: {captum_took / our_took:.2f}; values apart by at most {apart:.1e} of the largest")
