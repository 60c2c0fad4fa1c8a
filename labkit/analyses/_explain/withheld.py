"""When a map is not to be shown: it says nothing, breaks its method's promise, or cannot see what the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.analyses._explain.explaining import Case
from labkit.analyses._guard import Run, logits
from labkit.core.draws import Draws

GAP = 0.05  # a sum that misses more than this share of the change contradicts the method's promise
VANISHED = 1e-6  # an attribution below this share of the output's change is zero
ROUNDINGS = 4  # a change of so many roundings of the scores is none
HALVES = 4  # random halves of the entries that are taken away where the score at the baseline is the input's


@dataclass(frozen=True, eq=False)
class Found:
    """A map beside what it explains.

    Attributes:
        values: the map; rounding: (n,) of the target's scores.
        promises: of the method.
    """

    case: Case
    values: np.ndarray
    rounding: np.ndarray
    promises: Sequence[str]

    @property
    def change(self) -> np.ndarray:
        return self.case.change

    @property
    def still(self) -> np.ndarray:
        """(n,) whether the score is the baseline's, as far as its precision tells."""
        return np.asarray(np.abs(self.change) <= ROUNDINGS * self.rounding)

    @property
    def vanishes(self) -> np.ndarray:
        """(n,) whether the map is nothing beside the change."""
        flat = np.abs(self.values.reshape(len(self.values), -1)).astype(np.float64)
        flat = np.sqrt(flat) if "squared" in self.promises else flat
        moved = np.abs(self.case.x.astype(np.float64) - self.case.baseline).reshape(flat.shape)
        size = np.maximum(flat.max(1), (flat * moved).max(1))
        least = np.where(self.still, ROUNDINGS * self.rounding, VANISHED * np.abs(self.change))
        return np.asarray(size <= least)

    @property
    def missed(self) -> np.ndarray:
        """(n,) by how much the values' sum misses the change, beyond the rounding of the scores."""
        total = self.values.reshape(len(self.values), -1).astype(np.float64).sum(1)
        return np.asarray(np.maximum(0.0, np.abs(total - self.change) - ROUNDINGS * self.rounding))

    @property
    def breaks(self) -> np.ndarray:
        """(n,) whether a map that is to add up misses too much of its own row's change."""
        promised = "complete" in self.promises
        return np.asarray(promised & (self.missed > GAP * np.abs(self.change)))


def held_back(run: Run, found: Found) -> np.ndarray:
    """(n,) which rows' maps are not to be shown, where the others are. Where the score is the baseline's, nothing is what a
    map may say."""
    nothing = found.vanishes & ~found.still
    rows = nothing | found.breaks
    if rows.any():
        why = [
            words
            for flags, words in (
                (nothing, "it vanishes"),
                (found.breaks, f"it misses over {GAP:.0%} of the change that it promises to add up to"),
            )
            if flags.any()
        ]
        first = int(rows.argmax())
        run.warn(f"the map of {rows.sum()} of {len(rows)} rows is withheld (first: {first}), where {' or '.join(why)}")
    return rows


def withheld(run: Run, asked: str, found: Found, draws: Draws) -> str:
    """Why no map is to be shown; empty where some are."""
    n, zero, still = len(found.values), found.vanishes, found.still
    if still.all() and _indifferent(run, found, draws):
        return (
            f"{asked} has nothing to attribute: the target's score is the same at the input, at the baseline and wherever "
            "half of the entries are the baseline's, on all rows. If the output is no constant, another target, baseline "
            "or unit of the output would do, with any method, such as saliency or occlusion."
        )
    if 2 * zero.sum() >= n:
        return f"{asked} gives a map that vanishes on {zero.sum()} of {n} rows, {_why(found, zero & still)}"
    size = np.abs(found.change).sum()
    if size <= ROUNDINGS * found.rounding.sum():
        said = f"the target's score differs between input and baseline by {size / n:.3g} on average, which is no more than its rounding"
        if "complete" in found.promises:
            return f"{asked} promises to add up to a change that is not there: {said}. Another baseline or target would do, or occlusion, which adds up to nothing."
        run.warn(f"{said}: what is taken away hardly shows")
        return ""
    return _missed(asked, found) if "complete" in found.promises else ""


def _indifferent(run: Run, found: Found, draws: Draws) -> bool:
    """Whether no half of the entries that is taken away moves the score beyond its rounding."""
    case, each = found.case, np.arange(len(found.values))
    whole = logits(run, case.model, case.x)[each, case.target]
    for i in range(HALVES):
        kept = draws.spawn(i).uniform(*case.x.shape[1:]) < 0.5
        half = logits(run, case.model, np.where(kept, case.x, case.baseline))[each, case.target]
        if (np.abs(half - whole) > ROUNDINGS * found.rounding).any():
            return False
    return True


def _why(found: Found, nothing: np.ndarray) -> str:
    if 2 * nothing.sum() >= len(nothing):
        return (
            "where the target's score is the same at the baseline: the method sees nothing to attribute. Another baseline "
            "or target would do; occlusion and saliency need no change from the baseline."
        )
    size = f"while the target's score differs from the baseline's by {np.abs(found.change).mean():.3g} on average. "
    if "squared" in found.promises:
        return (
            size
            + "The gradient does not vary here: saliency or integrated_gradients say what it is, occlusion asks for outputs only."
        )
    return size + (
        "Where gradients vanish (saturated probabilities, rounding inside the model, a cut graph), occlusion and "
        "kernel_shap ask for outputs only; a model that ends in a softmax can be wrapped from the layer before it."
    )


def _missed(asked: str, found: Found) -> str:
    """Why a method that breaks its promise on half of the rows, or over all of them, is not to be believed on any."""
    missed, size = found.missed, np.abs(found.change).sum()
    if missed.sum() <= GAP * size and 2 * found.breaks.sum() < len(missed):
        return ""
    total = found.values.reshape(len(found.values), -1).astype(np.float64).sum(1)
    worst = int(missed.argmax())
    return (
        f"{asked} promises to add up to the change of the target's score and misses "
        f"{missed.sum() / size:.0%} of it over {len(total)} rows; at the worst (row {worst}) it adds up to "
        f"{total[worst]:.3g} where the score changes by {found.change[worst]:.3g}. {_sound(asked)}"
    )


def _sound(asked: str) -> str:
    """What to take instead of a method that does not add up."""
    if asked.startswith("integrated_gradients"):
        return "kernel_shap and permutation_shapley add up and ask for outputs only; occlusion needs no such promise."
    return (
        "integrated_gradients, kernel_shap and permutation_shapley add up on such models; lrp accounts for all that it "
        "hands back."
    )
