"""The table of reference models in ``docs/zoo.md``, made from the cards.

``python -m labkit.zoo.table docs/zoo.md`` brings the page up to date; a test fails when it is not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit import zoo
from labkit.core.store import write_atomic

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_HEAD = (
    "model", "what it tells", "parameters", "test score (95 % interval, n)", "floor", "seeds", "trained on", "seconds", "GPU training",
)  # fmt: skip


def table(folder: str | os.PathLike[str] = zoo.SHIPPED) -> str:
    """One row a model, as Markdown."""
    lines = [_HEAD, ["---"] * len(_HEAD), *(_row(zoo.card(name, folder)) for name in zoo.names(folder))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(card: Mapping[str, Any]) -> list[str]:
    test, made = card["test"], card["training"]
    measure = "AUC" if test["measure"] == "auc" else test["measure"]
    spread = f"{min(test['by_seed']):.4f} to {max(test['by_seed']):.4f}" if len(made["seeds"]) > 1 else ""
    return [
        f"`{card['name']}`",
        card["task"],
        f"{card['parameters']:,}",
        f"{measure} {test['score']:.4f} ({test['low']:.4f} to {test['high']:.4f}, {test['n']:,})",
        f"{test['floor']:g}",
        f"{len(made['seeds'])}{f' ({spread})' if spread else ''}",
        f"{made['hardware']}, {made['precision']}",
        f"{made['seconds']:,}",
        "done" if made["gpu"] else "pending",
    ]


def main(path: Path) -> None:
    """Put the present table between the page's two marks."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    write_atomic(path, f"{before}{BEGIN}\n{table()}\n{END}{after}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
