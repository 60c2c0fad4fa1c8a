"""A model's card: what it is, what it was trained on and with, what it scores, and what it is not good for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from labkit.core.store import write_atomic
from labkit.data.split import Dataset
from labkit.records.train import Training
from labkit.training.recipe import Recipe

INTERVALS = {"accuracy": "Wilson", "auc": "DeLong"}


def write_card(path: Path, record: Training, recipe: Recipe, data: Dataset, weights: Path, budget: float) -> Path:
    """Write the card as TOML. The SHA-256 in it is that of the weights file as it lies on disk."""
    import tomli_w

    return write_atomic(path, tomli_w.dumps(card(record, recipe, data, weights.read_bytes(), budget)))


def card(record: Training, recipe: Recipe, data: Dataset, weights: bytes, budget: float) -> dict[str, Any]:
    """The card's content as plain values."""
    i = record.chosen
    score, low, high = (round(float(v[i]), 4) for v in (record.score, record.low, record.high))
    return {
        "name": record.recipe,
        "task": data.schema.target,
        "classes": list(data.classes),
        "architecture": recipe.architecture,
        "parameters": record.parameters,
        "intended_use": recipe.card["intended_use"],
        "known_failures": list(recipe.card["known_failures"]),
        "licence": recipe.card["licence"],
        "weights": {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)},
        "data": {
            "name": recipe.data,
            "options": dict(recipe.data_options),
            "train": dict(data.train.describe()),
            "test": dict(data.test.describe()),
        },
        "test": {
            "measure": record.measure,
            "score": score,
            "low": low,
            "high": high,
            "interval": f"95 %, {INTERVALS[record.measure]}, over test examples",
            "n": record.n,
            "floor": record.floor,
            "meets_floor": score >= record.floor,
            "by_seed": [round(float(v), 4) for v in record.score],
            "choice": "the seed and the epoch with the best validation score",
        },
        "training": {
            "hardware": record.hardware,
            "gpu": record.provenance.settings["device"] != "cpu",
            "precision": record.precision,
            "seconds": round(record.provenance.seconds),
            "budget": budget,
            "seeds": list(record.seeds),
            "shipped_seed": record.seeds[i],
            "epochs": [int(np.isfinite(run).sum()) for run in record.train_loss],
            "best_epoch": [int(b) + 1 for b in record.best],
            "steps": record.steps,
            "packages": dict(record.provenance.packages),
            "day": record.provenance.started[:10],
            "recipe": {k: v for k, v in recipe.hyperparameters.items() if v is not None},
        },
    }
