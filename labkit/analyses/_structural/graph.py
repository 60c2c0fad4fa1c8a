"""A stated graph over columns: who has which parents, who descends from the attribute, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from labkit.core.refused import Refused, unknown

Stated = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Graph:
    """Parents of every column that descends from the attribute, parents before children.

    Attributes:
        attribute: the sensitive feature. parents: by descendant, in an order in which parents come first.
    """

    attribute: str
    parents: Mapping[str, tuple[str, ...]]

    @property
    def children(self) -> tuple[str, ...]:
        """The attribute's own children."""
        return tuple(c for c, found in self.parents.items() if self.attribute in found)

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(parent, child) of every descendant."""
        return tuple((p, c) for c, found in self.parents.items() for p in found)

    def without(self, parent: str, child: str) -> Graph:
        """The graph with one edge less; who no longer descends from the attribute is no part of it."""
        stated = {c: tuple(p for p in ps if (p, c) != (parent, child)) for c, ps in self.parents.items()}
        return replace(self, parents=_descendants(self.attribute, stated))


def read(asked: str, attribute: str, stated: Stated, columns: Sequence[str]) -> Graph:
    """The part of a stated graph that descends from the attribute.

    Raises:
        Refused: a name that is no column, a column that is its own parent by some way, an attribute that is not there.
    """
    if not isinstance(stated, Mapping) or any(isinstance(p, str) for p in stated.values()):
        raise Refused(asked, f"a graph such as {stated!r:.60}", 'parents by column: {"sex": [], "income": ["sex"]}')
    known = {*columns, attribute}
    graph = {str(c): tuple(str(p) for p in parents) for c, parents in stated.items()}
    for name in {*graph, *(p for parents in graph.values() for p in parents)}:
        if name not in known:
            raise unknown(f"{asked} with a column in its graph", name, known)
    if attribute not in {*graph, *(p for parents in graph.values() for p in parents)}:
        raise Refused(asked, f"a graph without {attribute}", f"the columns that {attribute} moves: its children")
    for name in graph:
        ring = _ring(graph, name)
        if ring:
            raise Refused(asked, f"a graph with a cycle: {' → '.join(ring)}", "a graph in which nothing causes itself")
    ordered: dict[str, tuple[str, ...]] = {}
    while len(ordered) < len(graph):
        ordered |= {c: p for c, p in graph.items() if all(q in ordered or q not in graph for q in p)}
    return Graph(attribute, _descendants(attribute, ordered))


def _descendants(attribute: str, ordered: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for child, parents in ordered.items():
        if child != attribute and any(p == attribute or p in found for p in parents):
            found[child] = parents
    return found


def _ring(graph: Mapping[str, tuple[str, ...]], start: str) -> list[str]:
    """A way from a column back to itself, against the edges; empty where there is none."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop()
        for parent in graph.get(way[-1], ()):
            if parent == start:
                return [start, *reversed(way)]
            if parent not in seen:
                seen.add(parent)
                ways.append([*way, parent])
    return []
