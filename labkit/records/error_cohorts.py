"""Error cohorts: a tree that parts people by what they suffer, and tables of any two columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record
from labkit.core.refused import unknown

PerNode = Annotated[np.ndarray, Dims("node")]
PerPair = Annotated[np.ndarray, Dims("pair")]


@dataclass(frozen=True, kw_only=True)
class Cohorts(Record):
    """A tree grown on one half of the people, told by the other; and what people suffer by any two columns, all of them.

    More is worse. Only people in question count, as negatives do for a false positive rate.

    Attributes:
        metric: of which more is worse. rate: whether it is a proportion; else a mean loss. positive: the positive class.
        columns: on offer. grown: people of the half that the tree was grown on; honest: of the other.
        depth, leaves: at most. least: people of a leaf in the half that it was grown on, and of a cell that is compared.
        splits: of the tree as it was grown; those that are no more than chance, and bear none that is, were taken back.
        alpha: below which a split's p, corrected by Holm for all splits grown, is more than chance.
        node: what a node asks of its people beside its parent's, in words; "everybody" of the root.
        parent: each node's, -1 of the root; parents stand before children. leaf: whether nothing parts it further.
        n, value, low, high: of the honest half. The intervals hold for all nodes that were grown at once, at 95 %; the
            root's stands alone. found_n, found_value: of the half that the tree was grown on.
        p_split, p_holm: that the two sides of a node are alike in the honest half, exact; nan of a leaf.
        chance95: the value that the worst of these leaves exceeds in 5 % of permutations; nan of other nodes.
        p_worst: how often it is then as far off, in its standard errors, as the worst leaf.
        bin, bin_column: each bin of each column, and the column's index.
        people, harm: people in each two bins, and the sum of what they suffer; bins of one column on the diagonal.
        first, second: the columns of each pair. worst_first, worst_second: the bins of its worst compared cell, which is
            ``score`` standard errors from all; -1 without one. cell95: the value there that the worst cell of the pair
            exceeds in 5 % of permutations.
        p_cell: how often the worst of the pair's cells is as far off; p_any: the worst cell of all pairs.
    """

    metric: str
    rate: bool
    positive: str
    columns: tuple[str, ...]
    grown: int
    honest: int
    depth: int
    leaves: int
    least: int
    splits: int
    alpha: float
    replicates: int
    node: tuple[str, ...]
    parent: PerNode
    leaf: PerNode
    n: PerNode
    value: PerNode
    low: PerNode
    high: PerNode
    found_n: PerNode
    found_value: PerNode
    p_split: PerNode
    p_holm: PerNode
    chance95: PerNode
    p_worst: float
    bin: tuple[str, ...]
    bin_column: Annotated[np.ndarray, Dims("bin")]
    people: Annotated[np.ndarray, Dims("bin", "other bin")]
    harm: Annotated[np.ndarray, Dims("bin", "other bin")]
    first: PerPair
    second: PerPair
    worst_first: PerPair
    worst_second: PerPair
    score: PerPair
    cell95: PerPair
    p_cell: PerPair
    p_any: PerPair

    @property
    def worst(self) -> int:
        """The leaf that is surest to be bad: the highest lower end; the root where nothing parts people."""
        return int(np.where(self.leaf, np.nan_to_num(self.low, nan=-np.inf), -np.inf).argmax())

    def path(self, node: int) -> str:
        """All that a node asks of its people, in words."""
        asked = []
        while self.parent[node] >= 0:
            asked.append(self.node[node])
            node = int(self.parent[node])
        return " & ".join(reversed(asked)) or "everybody"

    def bins_of(self, column: str) -> np.ndarray:
        """The indices of one column's bins. Raises Refused for a column that was not on offer."""
        if column not in self.columns:
            raise unknown("a column of these cohorts", column, self.columns)
        return np.flatnonzero(self.bin_column == self.columns.index(column))

    def pair(self, first: str, second: str) -> int:
        """The index of two columns, whichever stands first. Raises Refused for an unknown one, or twice the same."""
        if first == second:
            raise unknown(f"a column beside {first}", second, [c for c in self.columns if c != first])
        places = {self.columns.index(c) for c in (first, second) if self.bins_of(c).size >= 0}
        return int(np.flatnonzero((self.first == min(places)) & (self.second == max(places)))[0])

    @property
    def surest_pair(self) -> int:
        """The pair of columns whose worst cell is least like chance; -1 without any."""
        return int(np.nan_to_num(self.score, nan=-np.inf).argmax()) if len(self.first) else -1
