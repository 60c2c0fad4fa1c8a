"""Shapley values of 1,000 people of Adult to one error: labkit against Captum and, where it is installed, shap.

The error is the root mean square distance from exact values, over rows and columns, as a share of the exact values' own
root mean square. Each method gets the least samples that reach it, found beforehand on some of the rows and not timed,
and all run as batched as they can be. All explain the same logit against the same baseline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from captum.attr import KernelShap, ShapleyValueSampling

import labkit as lk
from labkit.attributions.exact_shapley import exact_shapley
from labkit.attributions.kernel_shap import kernel_shap
from labkit.attributions.permutation_shapley import permutation_shapley
from labkit.core.draws import Draws

ERROR, ROWS, TRIED, ROUNDS = 0.02, 1000, 50, 2
Method = Callable[[torch.Tensor, float], np.ndarray]


def ours(method: Callable[..., object], model: lk.models.Classifier, base: torch.Tensor, batch: int) -> Method:
    """labkit's method, run to a standard error."""

    def explained(x: torch.Tensor, tolerance: float) -> np.ndarray:
        ones = torch.ones(len(x), dtype=torch.int64, device=x.device)
        start, draws = base.expand_as(x), Draws(0, len(x))
        return method(model, x, ones, start, None, draws, max(batch, len(x)), tolerance=tolerance)[0].cpu().numpy()  # type: ignore[index]

    return explained


def captums(method: Callable[..., object], model: lk.models.Classifier, base: torch.Tensor, together: int) -> Method:
    """Captum's method on so many rows at once: Kernel SHAP takes one, as its documentation advises."""
    reached = method(model)

    def explained(x: torch.Tensor, samples: float) -> np.ndarray:
        torch.manual_seed(0)
        batch = 1 if together > 1 else 4096  # all samples of one row in a pass, or one sample of all rows
        with torch.no_grad():
            parts = [
                reached.attribute(part, base, target=1, n_samples=int(samples), perturbations_per_eval=batch)  # type: ignore[attr-defined]
                for part in x.split(together)
            ]
        return torch.cat(parts).cpu().numpy()

    return explained


def shaps(name: str, model: lk.models.Classifier, base: torch.Tensor) -> Method:
    """shap's explainer of that name; it chooses its own batches."""
    import shap

    def logit(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(model.tensor(rows.astype(np.float32)))[:, 1].cpu().numpy()

    start = base.cpu().numpy()
    if name == "KernelExplainer":
        kernel = shap.KernelExplainer(logit, start)
        return lambda x, samples: kernel.shap_values(x.cpu().numpy(), nsamples=int(samples), silent=True)
    masker = shap.maskers.Independent(start)
    permutations = shap.PermutationExplainer(logit, masker, seed=0)
    return lambda x, samples: permutations(x.cpu().numpy(), max_evals=int(samples), silent=True).values


def least(method: Method, effort: list[float], x: torch.Tensor, exact: np.ndarray) -> float | None:
    """The first effort whose error is small enough; None when none is."""
    size = np.sqrt(np.mean(exact**2))
    for spent in effort:
        if np.sqrt(np.mean((method(x, spent) - exact) ** 2)) <= ERROR * size:
            return spent
    return None


def main() -> None:
    """Print the seconds of each at the same error, and the ratios."""
    model, data = lk.zoo.load("adult_mlp"), lk.data.load("adult")
    x = model.tensor(data.test.x[:ROWS])
    base = model.tensor(model.reference(data.test.x[:1]))
    ones = torch.ones(ROWS, dtype=torch.int64, device=x.device)
    exact = exact_shapley(model, x, ones, base.expand_as(x), None, 4096)[0].cpu().numpy()
    steps = [round(16 * 1.5**i) for i in range(14)]
    families: dict[str, tuple[list[tuple[str, Method]], list[float]]] = {
        "labkit": (
            [
                (f"{f.__name__}, batch {batch}", ours(f, model, base, batch))
                for f in (kernel_shap, permutation_shapley)
                for batch in (1000, 4000, 16000)
            ],
            [1.0, 0.5, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002],
        ),
        "captum": (
            [
                ("KernelShap", captums(KernelShap, model, base, 1)),
                ("ShapleyValueSampling", captums(ShapleyValueSampling, model, base, ROWS)),
            ],
            [float(n) for n in steps],
        ),
    }
    if find_spec("shap"):
        families["shap"] = (
            [(name, shaps(name, model, base)) for name in ("KernelExplainer", "PermutationExplainer")],
            [float(n) for n in (25, 32, 48, *steps[4:])],
        )
    else:
        print("shap is not installed: no ratio to it (pip install shap)")
    print(
        f"{ROWS} rows of Adult, {model.device}, {torch.get_num_threads()} threads, error {ERROR:.0%} of the exact values"
    )
    seconds = {family: timed(family, methods, effort, x, exact) for family, (methods, effort) in families.items()}
    for family in list(seconds)[1:]:
        print(f"ratio {family} / labkit: {seconds[family] / seconds['labkit']:.0f}")


def timed(
    family: str, methods: list[tuple[str, Method]], effort: list[float], x: torch.Tensor, exact: np.ndarray
) -> float:
    """Seconds of the family's fastest method for all rows."""
    fastest = np.inf
    for name, method in methods:
        spent = least(method, effort, x[:TRIED], exact[:TRIED])
        if spent is None:
            print(f"  {family} {name} did not reach the error")
            continue
        took, values = min((_clock(method, x, spent) for _ in range(ROUNDS)), key=lambda run: run[0])
        error = np.sqrt(np.mean((values - exact) ** 2) / np.mean(exact**2))
        print(f"  {family} {name} at {spent:g}: {took:.2f} s, error {error:.2%}", flush=True)
        fastest = min(fastest, took)
    return fastest


def _clock(method: Method, x: torch.Tensor, spent: float) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    values = method(x, spent)  # ends with a copy to the host, so nothing is still running
    return time.perf_counter() - start, values
