"""Many seeds at once beside one after another: ``python -m benchmarks seeds [--recipe adult_mlp] [--seeds 16]``.

The same recipe, data and device, in one run; both are labkit's own loop. Prints models trained an hour, and the ratio.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import labkit as lk
from labkit.core import registry
from labkit.models.device import pick
from labkit.training import fit, fit_together
from labkit.training.hardware import in_words


def main() -> None:
    """Train the seeds both ways and print the ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--recipe", default="adult_mlp")
    options.add_argument("--seeds", type=int, default=16)
    options.add_argument("--examples", type=int, default=4096)
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--device", default="auto")
    asked, _ = options.parse_known_args()
    recipe = replace(registry.find("recipes", asked.recipe)(), epochs=asked.epochs, batch_size=asked.batch, patience=0)
    data = lk.data.load(recipe.data).train[: asked.examples]
    device = pick(asked.device)
    fit(replace(recipe, epochs=1), data, device=str(device))
    fit_together(replace(recipe, epochs=1), data, seeds=range(2), device=str(device))

    began = time.perf_counter()
    fit_together(recipe, data, seeds=range(asked.seeds), device=str(device))
    at_once = time.perf_counter() - began
    began = time.perf_counter()
    for seed in range(asked.seeds):
        fit(recipe, data, seed=seed, device=str(device))
    one_by_one = time.perf_counter() - began
    hourly = [3600 * asked.seeds / seconds for seconds in (at_once, one_by_one)]
    print(f"{asked.recipe}, {asked.seeds} seeds, {len(data):,} examples, batches of {asked.batch}, {in_words(device)}")
    print(
        f"at once {hourly[0]:,.0f} models an hour, one after another {hourly[1]:,.0f}: "
        f"{one_by_one / at_once:.2f} times as many"
    )


if __name__ == "__main__":
    main()
