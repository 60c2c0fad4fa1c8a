"""How often intervals hold, how often audits of like groups accuse, and which true gaps they find.

``python -m benchmarks simulations [--of coverage largest audits power knows compared gate] [--runs 400] [--audits 1000] [--write docs/simulations.md]``

Of the page only the parts asked for with ``--of`` are written anew. All draws have fixed seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import _coverage, _coverage_compared, _coverage_data, _coverage_generalize, _null_audits
from benchmarks import _generalize_page as generalize
from benchmarks import _simulations_page as pages
from benchmarks._false_alarms_page import put


def main() -> None:
    """Draw, count, and print or write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--of", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--runs", type=int, default=400)
    options.add_argument("--audits", type=int, default=1000)
    options.add_argument("--write", type=Path)
    asked, _ = options.parse_known_args()
    for name in asked.of:
        began = time.perf_counter()
        text = PARTS[name](asked)
        if asked.write:
            put(asked.write, text)
        print(text, f"\n{name}: {time.perf_counter() - began:.0f} s", flush=True)


def coverage(asked: argparse.Namespace) -> str:
    """Intervals of one group, or two."""
    return pages.coverage([*_coverage.closed(asked.runs), *_coverage.bootstrapped(asked.runs)])


def largest(asked: argparse.Namespace) -> str:
    """The largest difference, and the worst group."""
    return pages.largest([*_coverage.largest_of_rates(asked.runs), *_coverage.largest_of_metrics(asked.runs // 2)])


def audits(asked: argparse.Namespace) -> str:
    """Audits of groups that are alike."""
    rare = asked.audits // 2
    found = {
        "40 of 100": (_null_audits.alike(asked.audits), asked.audits),
        "10 of 100": (_null_audits.alike(rare, rare=True), rare),
    }
    searches = asked.audits // 5
    return pages.audits(found, (_null_audits.confirmed_in_noise(searches), searches))


def power(asked: argparse.Namespace) -> str:
    """True gaps."""
    picture = asked.write.parent / "images" / "power.svg" if asked.write else None
    return pages.power(_null_audits.curves(asked.runs), asked.runs, picture)


def knows(asked: argparse.Namespace) -> str:
    """Intervals of what a model knows and remembers."""
    cases = [*_coverage_generalize.cases(), *_coverage_data.cases()]
    return generalize.cells(generalize.KNOWS, _coverage_generalize.cells(cases, asked.runs))


def compared(asked: argparse.Namespace) -> str:
    """Intervals between models."""
    return generalize.cells(generalize.COMPARED, _coverage_generalize.cells(_coverage_compared.cases(), asked.runs))


def gate(asked: argparse.Namespace) -> str:
    """How often like models are called worse."""
    return generalize.gate(_coverage_compared.gate(asked.audits))


PARTS: Mapping[str, Callable[[argparse.Namespace], str]] = {
    "coverage": coverage,
    "largest": largest,
    "audits": audits,
    "power": power,
    "knows": knows,
    "compared": compared,
    "gate": gate,
}
