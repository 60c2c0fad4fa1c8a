"""A model's card: its training record as a page of TOML, with the digest of its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from labkit.core.intervals import mean
from labkit.core.store import write_atomic
from labkit.data.split import Dataset
from labkit.records.train import Training
from labkit.training.recipe import Recipe, plain

_SHARES = ("accuracy", "AUC", "attack success", "robust accuracy", "share", "train accuracy")


def write_card(path: Path, record: Training, recipe: Recipe, data: Dataset, weights: Path, budget: float) -> Path:
    """Write the card as TOML. The SHA-256 in it is that of the weights file as it lies on disk."""
    import tomli_w

    return write_atomic(path, tomli_w.dumps(card(record, recipe, data, weights.read_bytes(), budget)))


def card(record: Training, recipe: Recipe, data: Dataset, weights: bytes, budget: float) -> dict[str, Any]:
    """The card's content as plain values. What is not a number is left out."""
    made = record.provenance
    further = {key: recipe.card[key] for key in ("needs", "twin") if key in recipe.card}
    return {
        "name": record.recipe,
        "task": data.schema.target if recipe.minimised.classifies else f"new examples like those of {recipe.data}",
        "classes": list(data.classes) if recipe.minimised.classifies else [],
        "architecture": recipe.architecture,
        "parameters": record.parameters,
        **further,
        "intended_use": record.intended_use,
        "known_failures": list(record.known_failures),
        "licence": record.licence,
        "weights": {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)},
        "data": {
            "name": recipe.data,
            "options": dict(recipe.data_options),
            **({"kept": recipe.card["kept"]} if "kept" in recipe.card else {}),
            **{part: dict(told) for part, told in made.data.items()},
        },
        "test": [_test(record, i) for i in range(len(record.measures))],
        "training": {
            "hardware": record.hardware,
            "gpu": made.settings["device"] != "cpu",
            "precision": record.precision,
            "seconds": round(made.seconds),
            "peak_memory_bytes": record.peak_memory,
            "forward_passes": record.forwards,
            "backward_passes": record.backwards,
            "energy_joules": record.joules,
            "energy_method": record.energy,
            "budget": budget,
            "seeds": list(record.seeds),
            "shipped_seed": record.seeds[record.chosen],
            "choice": _choice(recipe),
            "epochs": [int(np.isfinite(run).sum()) for run in record.train_loss],
            "best_epoch": [int(b) + 1 for b in record.best],
            "steps": record.steps,
            "packages": dict(made.packages),
            "day": made.started[:10],
            "recipe": plain(made.options),
        },
    }


def _choice(recipe: Recipe) -> str:
    if recipe.solver:
        return "the first seed"
    best = "least training loss" if recipe.watch == "train_loss" else "best validation score"
    return f"the seed and the epoch with the {best}"


def _test(record: Training, i: int) -> dict[str, Any]:
    """One measure: the shipped model's value with its interval, what was asked, and how seeds differ."""
    by_seed = record.score[:, i][np.isfinite(record.score[:, i])]
    over = dict(zip(("mean", "low", "high"), (float(np.mean(by_seed)), *mean(by_seed)))) if len(by_seed) > 2 else {}
    if record.measures[i].startswith(_SHARES) and over:
        over["high"] = min(over["high"], 1.0)  # Student's interval knows no greatest value
    at = record.chosen
    numbers = {
        "score": record.score[at, i],
        "low": record.low[at, i],
        "high": record.high[at, i],
        "floor": record.floor[i],
        "ceiling": record.ceiling[i],
    }
    return {
        "measure": record.measures[i],
        **_rounded(numbers),
        "interval": record.intervals[i],
        "n": int(record.n[i]),
        "met": record.met[i],
        "by_seed": [round(float(v), 4) for v in by_seed],
        **({"over_seeds": {**_rounded(over), "interval": "95 %, Student, of the mean over seeds"}} if over else {}),
    }


def _rounded(numbers: dict[str, Any]) -> dict[str, float]:
    return {name: round(float(v), 4) for name, v in numbers.items() if np.isfinite(v)}
