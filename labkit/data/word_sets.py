"""Published sets of words whose associations are tested, from ``word_sets.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from labkit.core.refused import unknown

Sets = dict[str, tuple[str, ...]]


def names() -> tuple[str, ...]:
    """The tests that come with labkit."""
    return tuple(_tests())


def word_sets(name: str) -> tuple[Sets, Sets]:
    """The two sets of target words and the two of attribute words of a test, each by its name.

    Source: A. Caliskan, J. Bryson and A. Narayanan, 2017, arXiv 1608.07187. Raises Refused for an unknown test.
    """
    if name not in _tests():
        raise unknown("an association test", name, names())
    test = _tests()[name]
    targets, attributes = ({k: tuple(v.split()) for k, v in test[part].items()} for part in ("targets", "attributes"))
    return targets, attributes


@cache
def _tests() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
