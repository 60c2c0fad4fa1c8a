"""Slips of the pen and of the keyboard: the words of a text, and a word with one letter changed.

A word's first and last letter stay, and words of fewer than four letters as they are: people then mostly still read what
was meant (Pruthi et al., 2019, arXiv 1905.11268).
"""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
LONG = re.compile(r"[^\W\d_]{4,}")  # letters alone, enough of them to change one inside
# The rows of the usual keyboard; each lies half a key further right than the one above.
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _beside(row: int, at: int) -> str:
    """The keys that touch one: on its own row, on the one above and on the one below."""
    near = ((row, at - 1), (row, at + 1), (row - 1, at), (row - 1, at + 1), (row + 1, at - 1), (row + 1, at))
    return "".join(_ROWS[r][k] for r, k in near if 0 <= r < len(_ROWS) and 0 <= k < len(_ROWS[r]))


_KEYS = {letter: _beside(row, at) for row, keys in enumerate(_ROWS) for at, letter in enumerate(keys)}


def cut(text: str, pattern: re.Pattern[str]) -> list[str]:
    """The text in parts: what matches the pattern stands at 1, 3, 5, …, what lies between at 0, 2, 4, …"""
    return re.split(f"({pattern.pattern})", text)


def keys_beside(letter: str) -> str:
    """The letters whose keys touch that of a letter, in its case; none for a letter that the keyboard lacks."""
    near = _KEYS.get(letter.lower(), "")
    return near.upper() if letter.isupper() else near


def replaced(word: str) -> list[str]:
    """The word with one inner letter hit on a neighbouring key."""
    return [word[:i] + key + word[i + 1 :] for i in range(1, len(word) - 1) for key in keys_beside(word[i])]


def swapped(word: str) -> list[str]:
    """The word with two neighbouring inner letters in each other's place, where they differ."""
    pairs = ((i, word[i], word[i + 1]) for i in range(1, len(word) - 2))
    return [word[:i] + right + left + word[i + 2 :] for i, left, right in pairs if left != right]


def dropped(word: str) -> list[str]:
    """The word without one of its inner letters."""
    return [word[:i] + word[i + 1 :] for i in range(1, len(word) - 1)]


def inserted(word: str) -> list[str]:
    """The word with an inner letter twice, or with a neighbouring key hit after it."""
    inner = range(1, len(word) - 1)
    return [word[: i + 1] + key + word[i + 1 :] for i in inner for key in word[i] + keys_beside(word[i])]


def edited(word: str) -> list[str]:
    """Every way to change one character: swap, drop, insert, replace; each result once, in a fixed order."""
    made = (f(word) for f in (swapped, dropped, inserted, replaced))
    return list(dict.fromkeys(other for some in made for other in some if other != word))
