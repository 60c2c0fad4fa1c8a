"""Where are the errors? A tree of cohorts, grown on half of the people and told by the other half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._measure import Metric
from labkit.analyses._slices.chance import apart, by_chance, mean_of
from labkit.analyses._slices.conditions import Columns, columns, copies
from labkit.analyses._slices.harm import Harm, Worst, first_half, interval, suffered
from labkit.analyses._slices.pairs import pairs_of_columns
from labkit.core import intervals, resampling
from labkit.data.split import Split
from labkit.records.error_cohorts import Cohorts
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

ASKED = "error_cohorts"


def error_cohorts(
    p: Predictions | Scores,
    features: Split | None = None,
    metric: str | Metric | np.ndarray = "error rate",
    *,
    positive: int | str | None = None,
    worst: Worst | None = None,
    depth: int = 3,
    leaves: int = 8,
    least: int = 30,
    bins: int = 6,
    alpha: float = 0.05,
    seed: int = 0,
    replicates: int = 500,
) -> Cohorts:
    """A tree that parts people by what they suffer, and tables of any two columns beside what chance would give.

    The tree is grown on one half (least squares; scikit-learn's) and told by the other, which had no part in it (honest
    trees: Athey and Imbens, 2016, doi 10.1073/pnas.1510489113). There each split is tested, two-sided and exact; splits
    that are no more than chance after Holm's correction for all that were grown are taken back, from the leaves up. Of a
    model whose errors fall on people by chance the root alone is left, but for ``alpha`` of the times.

    The tables hold all people. Cells of fewer than ``least`` are shown and not compared; the worst of the others stands
    beside permutations of what people suffer.

    Args:
        p: predictions with truth, or scores. features, metric, positive, worst: as ``find_slices`` has them.
        depth, leaves: of the tree at most. least: people of a leaf, in the half that it is grown on.
        bins: parts that numbers are cut into. replicates: permutations.

    Raises:
        Refused: rows of other people, no table, a metric that is no mean over people or of which neither end is worse.
    """
    options = {"depth": depth, "leaves": leaves, "least": least, "bins": bins, "alpha": alpha, "replicates": replicates}
    statement, harm = suffered(ASKED, p, metric, positive, worst, options, seed)
    half = first_half(harm, seed)
    table = columns(ASKED, p, features, half & harm.asked_of, bins)
    seen, told = (np.flatnonzero(harm.asked_of & side) for side in (half, ~half))
    few = min(len(seen), len(told)) < 2 * least
    generator = resampling.stream(seed, ASKED)
    grown = (
        [_Node("everybody", -1, np.ones(len(p), bool))]
        if few
        else _grown(table, harm.value, seen, depth, leaves, least, seed)
    )
    return Cohorts(
        provenance=statement.provenance(),
        status="not_measured" if few else "measured",
        reason=f"{len(seen) + len(told)} people in question are too few for cohorts of {least}" if few else "",
        warnings=p.warnings + copies(p, features),
        metric=harm.name,
        rate=harm.rate,
        positive=harm.positive,
        columns=table.names,
        grown=len(seen),
        honest=len(told),
        depth=depth,
        leaves=leaves,
        least=least,
        alpha=alpha,
        replicates=replicates,
        **_honest(harm, grown, seen, told, alpha, replicates, generator),
        **pairs_of_columns(table, harm, least, replicates, generator),
    )


@dataclass(frozen=True, eq=False)
class _Node:
    """What a node asks, its parent's place, and (n,) whose answers led there."""

    asks: str
    parent: int
    members: np.ndarray


def _grown(
    table: Columns, value: np.ndarray, seen: np.ndarray, depth: int, leaves: int, least: int, seed: int
) -> list[_Node]:
    """The nodes of a tree fitted to some rows, each after its parent; the two of a split stand together."""
    from sklearn.tree import DecisionTreeRegressor

    asked = [
        (i, k) for i, names in enumerate(table.bins) for k in (range(len(names)) if table.edges[i] is None else [-1])
    ]
    x = np.stack([table.code[:, i] if k < 0 else table.code[:, i] == k for i, k in asked], 1).astype(np.float32)
    fitted = DecisionTreeRegressor(max_depth=depth, max_leaf_nodes=leaves, min_samples_leaf=least, random_state=seed)
    tree = fitted.fit(x[seen], value[seen]).tree_
    nodes, waiting = [_Node("everybody", -1, np.ones(len(x), bool))], [(0, 0)]
    while waiting:
        place, at = waiting.pop(0)
        if tree.children_left[at] < 0:
            continue
        column, code = asked[tree.feature[at]]
        low = x[:, tree.feature[at]] <= tree.threshold[at]
        cut, name = int(tree.threshold[at]), table.names[column]
        if code < 0:
            says = table.said(column, 0, cut), table.said(column, cut + 1, len(table.bins[column]) - 1)
        else:
            says = f"{name} not {table.bins[column][code]}", f"{name} = {table.bins[column][code]}"
        for text, side, child in zip(says, (low, ~low), (tree.children_left[at], tree.children_right[at])):
            waiting.append((len(nodes), int(child)))
            nodes.append(_Node(text, place, nodes[place].members & side))
    return nodes


def _honest(
    harm: Harm,
    grown: list[_Node],
    seen: np.ndarray,
    told: np.ndarray,
    alpha: float,
    replicates: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """The tree as people tell it on whom it was not grown: splits tested, those of chance taken back, leaves beside chance."""
    value = harm.value[told]
    children = [[i for i, node in enumerate(grown) if node.parent == place] for place in range(len(grown))]
    p = np.full(len(grown), np.nan)
    for place, sides in enumerate(children):
        if sides:
            inside = grown[place].members[told]
            p[place] = apart(harm, value[inside], grown[sides[0]].members[told][inside], replicates, generator)
    p_holm = intervals.holm(p)
    parted = p_holm <= alpha
    for place in reversed(range(1, len(grown))):  # what bears a split that holds, stays
        parted[grown[place].parent] |= parted[place]
    kept = [i for i, node in enumerate(grown) if node.parent < 0 or parted[node.parent]]
    place_of = {i: k for k, i in enumerate(kept)} | {-1: -1}
    level = 1 - 0.05 / max(len(grown) - 1, 1)
    members = np.array([grown[i].members for i in kept])
    honest, leaf = members[:, told], ~parted[kept]
    ends = [interval(harm, value[m], level if k else 0.95) for k, m in enumerate(honest)]
    chance = by_chance(harm, honest[leaf], value, replicates, generator) if len(value) else None
    reach = np.full(len(kept), np.nan)
    if chance is not None and leaf.sum() > 1:
        reach[leaf] = chance.reach
    return {
        "splits": int((~np.isnan(p)).sum()),
        "node": tuple(grown[i].asks for i in kept),
        "parent": np.array([place_of[grown[i].parent] for i in kept]),
        "leaf": leaf,
        "n": honest.sum(1),
        "value": np.array([mean_of(value[m]) for m in honest]),
        "low": np.array([low for low, _ in ends]),
        "high": np.array([high for _, high in ends]),
        "found_n": members[:, seen].sum(1),
        "found_value": np.array([mean_of(harm.value[seen][m]) for m in members[:, seen]]),
        "p_split": np.where(leaf, np.nan, p[kept]),
        "p_holm": np.where(leaf, np.nan, p_holm[kept]),
        "chance95": reach,
        "p_worst": chance.worst if chance is not None and leaf.sum() > 1 else float("nan"),
    }
