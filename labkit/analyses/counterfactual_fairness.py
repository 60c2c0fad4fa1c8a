"""Would people be answered otherwise had they been of the other group, and all that follows from it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from labkit.analyses._columns import require_table
from labkit.analyses._groups.pair import Pair, pair
from labkit.analyses._guard import Run, logits, probabilities, unchanged
from labkit.analyses._predicted import positive_class
from labkit.analyses._structural.equations import Equation, Kind, Table, explained
from labkit.analyses._structural.graph import Stated, read
from labkit.analyses._structural.worlds import DIRECT, Worlds
from labkit.analyses.predict import predict
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused, unknown
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.records.counterfactual_fairness import CounterfactualFairness

ASKED = "counterfactual_fairness"
BATCH = 4096
ASSUMED = (
    "the stated graph is the true one",
    "no hidden common cause of the attribute and a column, or of two columns",
    "columns outside the graph stay as they are",
)
KINDS = {
    "number": "numbers: what is added to the mean given the parents stays",
    "levels": "numbers with many equal values: the rank among people of the same parents stays",
    "category": "categories: Gumbel noise stays (Oberst and Sontag, 2019)",
}


def counterfactual_fairness(
    model: Classifier,
    data: Dataset | Split,
    by: str,
    graph: Stated,
    *,
    between: tuple[str, str] | None = None,
    positive: int | str | None = None,
    equations: Kind = "linear",
    draws: int = 10,
    placebos: int = 3,
    rows: int = 2000,
    fit_rows: int = 5000,
    seed: int = 0,
    batch_size: int = BATCH,
) -> CounterfactualFairness:
    """The share of people whose answer would differ had they been of the other group, under a stated graph (Kusner et al.,
    2017, arXiv 1703.06856): what the equations leave open of each person is kept, the attribute is exchanged, and what
    descends from it follows.

    Equations are fitted to the training rows: for numbers a mean given the parents, with what is added to it kept; for
    numbers with many equal values the rank among people of the same parents (monotone transport between levels); for
    categories their chances given the parents, with Gumbel noise that fits the observed one drawn many times (Oberst and
    Sontag, 2019, arXiv 1905.05824). The whole change is set apart into the direct one and that through each child, each
    path switched alone; beside it stands the whole under the graph without each of its edges, and what the same procedure
    gives for an attribute that is dealt out at random.

    Everything rests on the graph, which no data can prove. Intervals are over people (Wilson's for shares, with the mean
    chance of each person; Student's for means) and take the equations as fitted.

    Args:
        data: a data set, whose training rows are fitted and whose test rows are asked about; of a Split a half each.
        by: the sensitive feature: a column, or a group that the model does not read.
        graph: parents by column; columns that it does not name do not move.
        between: the two groups; None takes the two with the most people, the larger first.
        positive: the class that counts as positive; may be left out when the classes are 0 and 1.
        equations: "linear" (with logistic regression for categories) or gradient-boosted "trees".
        draws: of the noise, for each person. placebos: random attributes. rows, fit_rows: people at most.

    Raises:
        Refused: data that are no table, a graph with a cycle or with unknown columns, one from which nothing follows.
    """
    _check_numbers(draws=draws, placebos=placebos, rows=rows, fit_rows=fit_rows)
    if equations not in get_args(Kind):
        raise unknown(f"{ASKED} by equations", str(equations), get_args(Kind))
    known, asked = (_grouped(part, by) for part in _parts(data, seed))
    columns = [f.name for f in asked.schema.features]
    stated = read(ASKED, by, graph, columns)
    p = predict(model, asked, batch_size=batch_size)
    index = positive_class(ASKED, p, positive)
    who = pair(ASKED, p, by, between)
    column = columns.index(by) if by in columns else -1
    if not stated.parents and column < 0:
        given = f"{by}, which is no input of the model and has no child in the graph"
        raise Refused(ASKED, given, f"a graph that says which columns {by} moves")
    options = {"graph": {c: list(ps) for c, ps in graph.items()}, "between": who.groups, "equations": equations}
    more = {"positive": model.classes[index], "draws": draws, "placebos": placebos, "rows": rows, "fit_rows": fit_rows}
    about = {"asked": asked.describe(), "fitted": known.describe()}
    run = Run(ASKED, {"by": by, **options, **more}, seed, model, about, batch_size)
    fitting, asking = _table(known, by, who.groups, fit_rows, seed), _table(asked, by, who.groups, rows, seed)
    own = column, _codes(asked, column, who)

    def answers(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = logits(run, model, x, ASKED)
        return z.argmax(1), probabilities(z)[:, index]

    worlds = Worlds(stated, fitting, asking, asked.schema, own, answers, equations, seed, draws)
    with unchanged(model):
        fields = _measured(worlds, placebos)
    for warning in (*p.warnings, *_warnings(who, worlds, fields)):
        run.warn(warning)
    return CounterfactualFairness(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        attribute=by,
        groups=who.groups,
        positive=model.classes[index],
        edges=tuple(f"{a} → {b}" for a, b in stated.edges),
        assumed=(*ASSUMED, *(said for kind, said in KINDS.items() if kind in fields["node_kind"])),
        nodes=tuple(stated.parents),
        equations=equations,
        draws=draws if set(fields["node_kind"]) - {"number"} else 1,
        fitted=len(worlds.known.x),
        n=np.array([np.sum(worlds.asked.a == g) for g in (0, 1)]),
        **fields,
    )


def _check_numbers(**numbers: Any) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 1:
            raise Refused(f"{ASKED} with {name}={number!r}", "no count", "a whole number of at least 1")


def _parts(data: Dataset | Split, seed: int) -> tuple[Split, Split]:
    """The rows that equations are fitted to, and those that are asked about."""
    if isinstance(data, Dataset):
        return require_table(ASKED, data.train), require_table(ASKED, data.test)
    mixed = resampling.stream(seed, ASKED, "halves").permutation(len(require_table(ASKED, data)))
    return data[np.sort(mixed[: len(mixed) // 2])], data[np.sort(mixed[len(mixed) // 2 :])]


def _grouped(data: Split, by: str) -> Split:
    """The data with the attribute among its groups, also where it is only a column."""
    if not isinstance(by, str):
        raise Refused(f"{ASKED} by {by!r}", f"a {type(by).__name__}", "the name of one column or group")
    names = [f.name for f in data.schema.features]
    if by in data.groups or by not in names or not data.schema.feature(by).categories:
        return data
    values = np.array(data.schema.feature(by).categories)[data.x[:, names.index(by)].astype(int)]
    return replace(data, groups={**data.groups, by: values})


def _table(data: Split, by: str, groups: tuple[str, str], most: int, seed: int) -> Table:
    """So many rows of the two groups at most."""
    rows = np.flatnonzero(np.isin(data.groups[by], groups))
    rows = np.sort(resampling.stream(seed, ASKED, data.name).permutation(rows)[:most])
    a = (data.groups[by][rows] == groups[1]).astype(np.int64)
    if len(np.unique(a)) < 2:
        raise Refused(
            f"{ASKED} on {data.name}", f"people of one of the groups {' and '.join(groups)}", "people of both"
        )
    return Table(data.x[rows], a)


def _codes(data: Split, column: int, who: Pair) -> tuple[float, float]:
    """What the model's own column holds for each of the groups."""
    if column < 0:
        return 0.0, 1.0
    known = data.schema.features[column].categories
    for group in who.groups:
        if group not in known:
            given = f"the group {group!r}, which is no value of the column {who.name}"
            raise Refused(
                f"{ASKED} by {who.name}", given, f"groups named as the column's values: {', '.join(known[:6])}"
            )
    return float(known.index(who.groups[0])), float(known.index(who.groups[1]))


def _measured(worlds: Worlds, placebos: int) -> dict[str, Any]:
    graph, asked = worlds.graph, worlds.asked
    own = [DIRECT] if worlds.own[0] >= 0 else []
    paths = [*own, *graph.children]
    through = frozenset(graph.children)
    nodes = tuple(graph.parents)
    steps = 1 + len(graph.edges) + placebos
    progress.step(ASKED, 0, steps)
    fitted = worlds.fitted(graph, nodes, worlds.known)
    switches = [frozenset(paths), through, *(frozenset([c]) for c in paths)]
    found, beyond = worlds.changes(fitted, switches, asked)
    whole, apart = found[0], found[2:]
    edges = []
    for k, (parent, child) in enumerate(graph.edges):
        progress.step(ASKED, 1 + k, steps)
        less = graph.without(parent, child)
        known = {n: e for n, e in fitted.items() if n in less.parents and n != child}
        again = worlds.fitted(less, (child,), worlds.known) if child in less.parents else {}
        without = {n: {**known, **again}[n] for n in less.parents}
        edges.append(worlds.changes(without, [frozenset([*own, *less.children])], asked)[0][0])
    null = []
    for k in range(placebos):
        progress.step(ASKED, 1 + len(graph.edges) + k, steps)
        stream = resampling.stream(worlds.seed, ASKED, "placebo", str(k))
        dealt = [replace(t, a=stream.permutation(t.a)) for t in (worlds.known, asked)]
        chance = worlds.changes(worlds.fitted(graph, nodes, dealt[0]), [through], dealt[1])[0][0]
        null.append(chance)
    progress.step(ASKED, steps, steps)
    share, low, high = _by_group(whole[0], asked.a, _wilson)
    shift, shift_low, shift_high = _by_group(whole[1], asked.a, _student)
    each = [(_by_group(path[0], asked.a, _wilson)[0], *_by_group(path[1], asked.a, _student)) for path in apart]
    path_share, path_shift, path_low, path_high = np.array(each).reshape(len(paths), 4, 2).swapaxes(0, 1)
    return {
        "share": share,
        "share_low": low,
        "share_high": high,
        "promoted": _mean((whole[0] + whole[2]) / 2, asked.a),
        "demoted": _mean((whole[0] - whole[2]) / 2, asked.a),
        "shift": shift,
        "shift_low": shift_low,
        "shift_high": shift_high,
        "path": tuple(f"through {p}" if p != DIRECT else "direct" for p in paths),
        "path_share": path_share,
        "path_shift": path_shift,
        "path_low": path_low,
        "path_high": path_high,
        "rest": shift - path_shift.sum(0),
        "edge_share": np.array([_mean(e[0], asked.a) for e in edges]).reshape(-1, 2),
        "edge_shift": np.array([_mean(e[1], asked.a) for e in edges]).reshape(-1, 2),
        "through_share": _mean(found[1, 0], asked.a),
        "through_shift": _mean(found[1, 1], asked.a),
        "null_share": np.array([_mean(e[0], asked.a) for e in null]),
        "null_shift": np.array([_mean(e[1], asked.a) for e in null]),
        "explained": np.array([explained(fitted[n], asked) for n in nodes]),
        "beyond": np.array([float(beyond[n].mean()) if n in beyond else 0.0 for n in nodes]),
        "node_kind": tuple(_kind(fitted[n]) for n in nodes),
    }


def _kind(equation: Equation) -> str:
    return "levels" if equation.levels is not None else "category" if equation.size else "number"


def _mean(values: np.ndarray, a: np.ndarray) -> np.ndarray:
    return np.array([values[a == g].mean() for g in (0, 1)])


def _by_group(values: np.ndarray, a: np.ndarray, ends: Callable[[np.ndarray], tuple[float, float]]) -> np.ndarray:
    """(3, 2) mean, lower and upper end in each group."""
    return np.array([[v.mean(), *ends(v)] for v in (values[a == g] for g in (0, 1))]).T


def _wilson(chance: np.ndarray) -> tuple[float, float]:
    """Wilson's interval for the share of people, each with a chance: no chance varies more than a yes or no."""
    low, high = intervals.wilson(float(chance.sum()), len(chance))
    return float(low), float(high)


def _student(change: np.ndarray) -> tuple[float, float]:
    return intervals.mean(change)


def _warnings(who: Pair, worlds: Worlds, fields: dict[str, Any]) -> list[str]:
    found = who.warnings()
    far = [(n, b) for n, b in zip(worlds.graph.parents, fields["beyond"]) if b > 0.01]
    if far:
        some = ", ".join(f"{n} ({100 * b:.0f} of 100)" for n, b in far)
        found.append(
            f"values that left the range of the data and were kept at its end: {some}; the equation fits poorly there"
        )
    return found
