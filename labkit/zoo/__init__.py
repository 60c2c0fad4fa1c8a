"""Trained reference models by name: weights verified against their cards, and the data they were trained for."""

from __future__ import annotations

import hashlib
import os
import tomllib
from pathlib import Path
from typing import Any

import labkit as lk
from labkit.core import store
from labkit.core.refused import Refused, unknown
from labkit.data.split import Dataset
from labkit.models import opening
from labkit.records.train import Training

SHIPPED = Path(__file__).parent


def names(folder: str | os.PathLike[str] = SHIPPED) -> tuple[str, ...]:
    """Every model that has a card, sorted."""
    return tuple(sorted(p.stem for p in (Path(folder) / "cards").glob("*.toml")))


def card(name: str, folder: str | os.PathLike[str] = SHIPPED) -> dict[str, Any]:
    """What the model is, was trained on, scores, and is not good for. Raises Refused for an unknown name."""
    if not names(folder):
        given = f"the folder {Path(folder)}, which has no cards"
        raise Refused(f"the reference model {name}", given, "a folder that labkit train wrote to")
    if name not in names(folder):
        raise unknown("a reference model", str(name), names(folder))
    return tomllib.loads(_file("cards", name, "toml", folder).read_text(encoding="utf-8"))


def load(name: str, *, device: str = "auto", folder: str | os.PathLike[str] = SHIPPED) -> opening.Model:
    """A reference model: a Classifier, or a Generative model where the card names no classes.

    Args:
        name: one of ``names()``.
        folder: where ``cards`` and ``weights`` lie; another one for models that you trained with ``labkit train``.

    Raises:
        Refused: an unknown name, or weights whose SHA-256 is not the card's.
    """
    expected = card(name, folder)["weights"]["sha256"]
    path = _file("weights", name, "safetensors", folder)
    if not path.is_file():
        raise Refused(f"the reference model {name}", "a card without weights", f"labkit train {name}")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected:
        given = "weights that are not those of the card (their SHA-256 differs)"
        raise Refused(f"the reference model {name}", given, f"the file as it was shipped, or labkit train {name}")
    return opening.loads(content, name, device=device)


def data(name: str, *, full: bool = False, folder: str | os.PathLike[str] = SHIPPED) -> Dataset:
    """The data set that the model was trained for: what comes with labkit, or with ``full`` all that it was trained on.

    A model that was damaged through its labels has its training rows, as they were, in a data set of its own.

    Raises:
        Refused: an unknown name, full data that are not on this machine, or test data whose digest is not the card's.
    """
    about = card(name, folder)["data"]
    found = lk.data.load(about["name"], **about["options"]) if full else lk.data.load(about.get("kept", about["name"]))
    stated = about["test"]
    if found.test.name == stated["name"] and found.test.digest != stated["sha256"]:
        given = f"test data {found.test.digest[:12]}… where its card has {stated['sha256'][:12]}…"
        raise Refused(f"the data of the reference model {name}", given, f"the data of the card, or labkit train {name}")
    return found


def curves(name: str, folder: str | os.PathLike[str] = SHIPPED) -> Training:
    """How the model was trained: the record that its card was written from."""
    card(name, folder)
    return store.load(_file("curves", name, "lk", folder))


def _file(kind: str, name: str, suffix: str, folder: str | os.PathLike[str]) -> Path:
    return Path(folder) / kind / f"{name}.{suffix}"
