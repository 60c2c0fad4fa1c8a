"""Many models at once beside one after another.

``python -m benchmarks many [--case table] [--models 64] [--rows 4096] [--batch 32 64 128] [--epochs 2] [--alone 8]
[--device auto] [--repeats 3]`` trains shadow models, each on a random half of so many rows, by ``fit_many`` and by a plain
loop over one model: tensors in memory, the same batches in the same order, torch's own AdamW with its default path, no
loader. The plain loop is timed on ``--alone`` of the models, since each takes as long. Both in turn, ``--repeats`` times;
the least time of each counts, since what else the machine does only adds. ``--case table`` is the network of adult_mlp
with its recipe's rate and weight decay, ``--case image`` a small convolutional net for Fashion-MNIST (``--models 256
--device cuda``: the models of a likelihood-ratio attack).

Member by member the answers are compared without dropout, which each way draws for itself, and in units of the
logits; after some hundred steps of AdamW rounding has grown, so the distance of two plain loops that differ in rounding
alone (torch's fused AdamW instead of the default) stands beside it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

import labkit as lk
from labkit.core import registry
from labkit.data.split import Split
from labkit.models.device import pick
from labkit.training.hardware import in_words
from labkit.training.loop import epoch_seed
from labkit.training.many import Many, fit_many
from labkit.training.many.fitting import Fit
from labkit.training.recipes.adult_mlp import adult_mlp

Make = Callable[[int], nn.Module]


def table(rows: int, dropout: bool) -> tuple[Split, Make, str]:
    """Adult and the network of adult_mlp."""
    recipe, train = adult_mlp(), lk.data.load("adult").train
    config = {**recipe.config, **recipe.from_data(train)}  # type: ignore[misc]
    config["dropout"] = config["dropout"] if dropout else 0.0
    build = registry.find("architectures", recipe.architecture)
    return train[:rows], lambda seed: build(**config), "adult_mlp's network"


def image(rows: int, dropout: bool) -> tuple[Split, Make, str]:
    """Fashion-MNIST and a small convolutional net."""
    build = registry.find("architectures", "cnn")
    train = lk.data.load("fashion_mnist").train
    return (
        train[:rows],
        lambda seed: build(classes=10, size=28, widths=(16, 32, 32)),
        "a convolutional net (16, 32, 32)",
    )


CASES = {"table": table, "image": image}


def plain(
    make: Make, split: Split, chosen: np.ndarray, fit: Fit, device: torch.device, fused: bool | None = None
) -> tuple[float, np.ndarray]:
    """Seconds a model, and (models, n, classes) logits, of models that are trained one after another."""
    x, y = torch.tensor(split.x, device=device), torch.tensor(split.y, device=device)
    seconds, found = 0.0, []
    for seed, seen in enumerate(chosen):
        rows = torch.tensor(np.flatnonzero(seen), device=device)
        torch.manual_seed(seed)
        module = make(seed).to(device)
        wide = [p for p in module.parameters() if p.ndim > 1]
        slim = [p for p in module.parameters() if p.ndim <= 1]
        groups = [{"params": wide, "weight_decay": fit.weight_decay}, {"params": slim, "weight_decay": 0.0}]
        adam = torch.optim.AdamW(groups, lr=fit.rate, fused=fused)
        began = time.perf_counter()
        for epoch in range(fit.epochs):
            mixed = torch.randperm(len(rows), generator=torch.Generator().manual_seed(epoch_seed(seed, epoch)))
            for batch in rows[mixed.to(device)].tensor_split(-(-len(rows) // fit.batch_size)):
                loss = nn.functional.cross_entropy(module(x[batch]), y[batch])
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()
        _wait(device)
        seconds += time.perf_counter() - began
        with torch.no_grad():
            found.append(module.eval()(x).cpu().numpy())
    return seconds / len(chosen), np.stack(found)


def compare(case: str, batch: int, asked: argparse.Namespace, device: torch.device) -> None:
    """Print the ratio for one batch size, and how far the answers are from each other."""
    split, make, name = CASES[case](asked.rows, True)
    fit = Fit(epochs=asked.epochs, batch_size=batch, rate=3e-3, weight_decay=0.02)
    chosen = np.random.default_rng(0).random((asked.models, len(split))).argsort(1) < len(split) // 2
    some = chosen[: asked.alone]
    run = partial(fit_many, x=split.x, y=split.y, fit=fit, device=str(device))
    run(make, chosen=chosen[:2])  # the first run of each warms up
    plain(make, split, some[:1], fit, device)
    together: list[Many] = []
    alone = []
    for _ in range(asked.repeats):
        together.append(run(make, chosen=chosen))
        alone.append(plain(make, split, some, fit, device)[0])
    ours, theirs = min(m.seconds for m in together), min(alone) * len(chosen)
    print(
        f"{name}, {asked.models} models on {len(split) // 2:,} rows each, {fit.epochs} epochs, batch {batch}: together "
        f"{ours:.2f} s, one after another {theirs:.2f} s: {theirs / ours:.1f} times as fast"
    )
    _, still, _ = CASES[case](asked.rows, False)
    logits = fit_many(still, split.x, split.y, some, fit=fit, device=str(device)).logits(split.x)
    (_, usual), (_, fused) = (plain(still, split, some, fit, device, f) for f in (None, True))
    print(
        f"  greatest difference of logits: {np.abs(logits - usual).max():.1g} (typical size {np.abs(usual).mean():.2g}); "
        f"of plain loops with and without fused AdamW: {np.abs(fused - usual).max():.1g}"
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Compare for each batch size."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--case", choices=sorted(CASES), default="table")
    options.add_argument("--models", type=int, default=64)
    options.add_argument("--rows", type=int, default=4096)
    options.add_argument("--batch", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--alone", type=int, default=8)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--device", default="auto")
    asked, _ = options.parse_known_args()
    device = pick(asked.device)
    print(f"{in_words(device)}, torch {torch.__version__}, float32")
    for batch in asked.batch:
        compare(asked.case, batch, asked, device)


if __name__ == "__main__":
    main()
