"""How a corruption is chosen, called and looked at again, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from labkit.core import method, registry
from labkit.core.draws import Draws
from labkit.core.method import Spec
from labkit.core.refused import Refused
from labkit.data.schema import Modality, Schema

Given = str | Callable[..., Any]
MODALITIES = get_args(Modality)


@dataclass(frozen=True)
class Corruption:
    """A corruption with its options. ``fits``: the modalities that it says it is for, none where it says nothing."""

    name: str
    function: Callable[..., Any]
    spec: Spec
    fits: tuple[str, ...]
    family: str


@dataclass(frozen=True)
class Ground:
    """What corruptions may ask for beside the rows: schema, bounds (None without), and what inputs usually are."""

    schema: Schema
    bounds: tuple[float, float] | None
    background: np.ndarray

    @property
    def modality(self) -> str:
        """The modality that corruptions must fit: of a picture with words, that of the picture."""
        return "image" if self.schema.picture else self.schema.modality


def corruption(given: Given, options: Mapping[str, Any] | None = None) -> Corruption:
    """A corruption by name, or the user's own function; Refused for a name or an option that is not there."""
    function, name = registry.find("corruptions", given), registry.label(given)
    said = method.promises(function)
    fits = tuple(s for s in said if s in MODALITIES)
    family = next((s for s in said if s not in MODALITIES), fits[0] if fits else "own")
    return Corruption(name, function, method.bind("corruptions", name, function, options or {}), fits, family)


def fitting(modality: str) -> tuple[str, ...]:
    """The names of all corruptions for a modality."""
    return tuple(n for n in registry.names("corruptions") if modality in corruption(n).fits)


def corrupt(
    chosen: Corruption, x: np.ndarray, severity: int, generator: Draws, ground: Ground, texts: tuple[str, ...] = ()
) -> np.ndarray:
    """(n, *shape) the rows corrupted, within the bounds and of the rows' type; the rows themselves stay as they are.

    Raises:
        Refused: a corruption for other data; a result of another shape, or that is not finite.
    """
    asked = f"the corruption {chosen.name}"
    if chosen.fits and ground.modality not in chosen.fits:
        instead = f"one of: {', '.join(fitting(ground.modality)) or '(none)'}"
        raise Refused(asked, f"{ground.modality} data, where it is for {' and '.join(chosen.fits)}", instead)
    if ground.schema.picture and chosen.fits:
        return _on_pictures(chosen, x, severity, generator, ground)
    offered = {"x": x.copy(), "severity": severity, "generator": generator, "schema": ground.schema}
    offered |= {"background": ground.background, "texts": texts}
    if ground.bounds is not None:
        offered["bounds"] = ground.bounds
    elif "bounds" in method.needs(chosen.function):
        raise Refused(
            asked, "rows of which nobody says between what bounds they lie", "labkit.wrap(..., bounds=(low, high))"
        )
    found = np.asarray(method.call(chosen.function, chosen.spec, offered))
    if found.shape != x.shape or found.dtype.kind not in "fiu":
        given = f"a result of shape {found.shape} and type {found.dtype} for rows of shape {x.shape}"
        raise Refused(asked, given, "as many numbers as it was given")
    if not np.isfinite(found).all():
        raise Refused(asked, "a result that is NaN or infinite in places", "finite numbers")
    return (found if ground.bounds is None else np.clip(found, *ground.bounds)).astype(x.dtype)


def _on_pictures(chosen: Corruption, x: np.ndarray, severity: int, generator: Draws, ground: Ground) -> np.ndarray:
    """The picture of each row corrupted; the words after it stay."""
    schema, pixels = ground.schema, ground.schema.pixels
    alone = Schema("image", schema.target, schema.picture, (0.0, 1.0))
    pictures = x[:, :pixels].reshape(len(x), *schema.picture)
    usual = ground.background[:, :pixels].reshape(-1, *schema.picture)
    found = corrupt(chosen, pictures, severity, generator, Ground(alone, (0.0, 1.0), usual))
    return np.concatenate([found.reshape(len(x), -1), x[:, pixels:]], axis=1)
