"""The functions of a model as torch calls them: their plain names, and how they are written out of place."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import torch
from torch import Tensor, nn


def plain_name(func: Callable[..., Any], kwargs: dict[str, Any], known: Container[str]) -> tuple[str, bool]:
    """The function's plain name, and whether it works in place. An option ``inplace`` is taken away.

    ``known`` tells "i" for in place, as in ``__iadd__``, from a name that begins so.
    """
    name = func.__name__
    if name == "__get__":
        return func.__self__.__name__, False  # type: ignore[attr-defined]
    if name.startswith("__"):
        plain = name.strip("_").replace("truediv", "div")
        return (plain[1:], True) if plain[0] == "i" and plain[1:] in known else (plain, False)
    if kwargs.pop("inplace", False):
        return name, True
    return (name[:-1], True) if name.endswith("_") else (name, False)


def out_of_place(func: Callable[..., Any], name: str) -> Any:
    """The function of that plain name that leaves its input as it is."""
    if func.__name__ == name:
        return func  # an option said so, and was taken away
    return next(getattr(home, name) for home in (torch, nn.functional, Tensor) if hasattr(home, name))
