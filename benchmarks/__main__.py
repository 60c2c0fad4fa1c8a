"""Run every benchmark: ``python -m benchmarks [name ...]``. Each compares labkit with its peers in one run, as ratios."""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import takewhile
from pathlib import Path

KNOWN = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))


def main(chosen: list[str]) -> None:
    """Run the chosen benchmarks, or all; each prints its own ratios, and reads the options that follow its name."""
    names = list(takewhile(lambda word: not word.startswith("-"), chosen))
    for name in names or KNOWN:
        if name not in KNOWN:
            sys.exit(f"no benchmark {name!r}; there are {', '.join(KNOWN)}")
        print(f"\n== {name}", flush=True)
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
