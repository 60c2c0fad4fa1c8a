"""The one exception that leaves the lab for bad input."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class Refused(ValueError):
    """Raised instead of giving a number that would be wrong.

    Args:
        asked: what the caller wanted.
        given: what was found that makes it impossible.
        instead: what would do.
    """

    def __init__(self, asked: str, given: str, instead: str) -> None:
        super().__init__(asked, given, instead)
        self.asked, self.given, self.instead = asked, given, instead

    def __str__(self) -> str:
        return f"asked for: {self.asked}\ngiven: {self.given}\nwhat would do: {self.instead}"


def unknown(asked: str, name: object, known: Iterable[str]) -> Refused:
    """A refusal for a name that is not among the known ones, with the nearest of them first."""
    known = sorted(known)
    near = get_close_matches(str(name), known, n=1)
    guess = f"{near[0]!r}, or " if near else ""
    return Refused(asked, repr(name), f"{guess}one of: {', '.join(known) or '(none)'}")
