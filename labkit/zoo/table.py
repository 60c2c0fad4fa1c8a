"""The tables of reference models in ``docs/zoo.md`` and the README, made from the cards.

``python -m labkit.zoo.table docs/zoo.md README.md`` brings both up to date; a test fails when they are not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit import zoo
from labkit.core.store import write_atomic

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_HEAD = ("model", "what it gives", "parameters", "measured on the test set (95 % interval, n)", "asked", "seeds", "trained on",
         "seconds", "size", "GPU training")  # fmt: skip
_SHORT = ("model", "what it gives", "measured on the test set", "asked")


def table(folder: str | os.PathLike[str] = zoo.SHIPPED) -> str:
    """One row a model, as Markdown, with all that is measured: for ``docs/zoo.md``."""
    return _markdown(_HEAD, [_row(zoo.card(name, folder)) for name in zoo.names(folder)])


def short_table(folder: str | os.PathLike[str] = zoo.SHIPPED) -> str:
    """One row a model with its headline only: for the README."""
    rows = []
    for name in zoo.names(folder):
        card = zoo.card(name, folder)
        rows.append([f"`{name}`", card["task"], _value(card["test"][0]), _asked(card["test"][0])])
    return _markdown(_SHORT, rows)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def _row(card: Mapping[str, Any]) -> list[str]:
    tests, made = card["test"], card["training"]
    over = tests[0].get("over_seeds")
    mean = f": mean {over['mean']:.4f} ({over['low']:.4f} to {over['high']:.4f})" if over else ""
    return [
        f"`{card['name']}`",
        card["task"] + (f" (needs `{card['needs']}`)" if "needs" in card else ""),
        f"{card['parameters']:,}",
        "<br>".join(_value(test) for test in tests),
        "<br>".join(_asked(test) for test in tests),
        f"{len(made['seeds'])}{mean}",
        f"{made['hardware']}, {made['precision']}",
        f"{made['seconds']:,}",
        f"{card['weights']['bytes'] / 1e6:.2f} MB",
        "fitted, not trained" if "solver" in made["recipe"] else "done" if made["gpu"] else "pending",
    ]


def _value(test: Mapping[str, Any]) -> str:
    reach = f"{test['low']:.4f} to {test['high']:.4f}, " if "low" in test and "high" in test else ""
    return f"{test['measure']} {test['score']:.4f} ({reach}{test['n']:,})" if "score" in test else test["measure"]


def _asked(test: Mapping[str, Any]) -> str:
    asked = [f"{word} {test[key]:g}" for word, key in (("≥", "floor"), ("≤", "ceiling")) if key in test]
    return (" and ".join(asked) + ("" if test["met"] else ", **not reached**")) if asked else "none"


def main(*paths: Path) -> None:
    """Put the present table between each page's two marks: the short one into a README."""
    for path in paths:
        made = short_table() if path.name == "README.md" else table()
        before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        write_atomic(path, f"{before}{BEGIN}\n{made}\n{END}{after}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
