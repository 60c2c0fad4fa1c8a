"""Models whose attribution is known, and how far every method is from it: on tables, images and tokens.

``python tests/known_truth.py`` writes the tables of ``docs/known_truth.md`` in some minutes, or those that it names
("table", "image", "tokens", "recommend"); a test compares them with what is measured.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.core import registry
from labkit.core.method import needs, promises
from labkit.models.classifier import Classifier

PAGE = Path(__file__).parent.parent / "docs/known_truth.md"
BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
SHAPES = {"table": (10,), "image": (1, 12, 12), "tokens": (10,)}
TRUTHS = ("linear", "additive", "interactions", "steps", "planted", "distractor", "dead", "symmetric")
WORDS = 12  # of the tokens; word 0 is the baseline
ROWS = 3
SEEDS = (201, 202, 203)  # of the recommendation's table


class Known(nn.Module):
    """One number a position, weighted sums of them, and a head whose form is known. The first of two logits is 0."""

    def __init__(self, kind: str, weight: np.ndarray, head: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        stems = {"image": nn.Conv2d(1, 1, 1, bias=False), "tokens": nn.Embedding(WORDS, 3)}
        self.stem = stems.get(kind, nn.Identity())
        self.read = nn.Linear(3, 1, bias=False) if kind == "tokens" else nn.Identity()
        self.first = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.head = head
        with torch.no_grad():
            self.first.weight.copy_(torch.as_tensor(weight))
            if kind == "image":
                self.stem.weight.fill_(1.0)
            if kind == "tokens":  # a word's number is its first coordinate, and the others say nothing
                self.stem.weight[0] = 0
                self.stem.weight[1:, 0] = torch.linspace(0.3, 1.2, WORDS - 1)
                self.read.weight.copy_(torch.tensor([[1.0, 0, 0]]))

    def forward(self, x: Tensor) -> Tensor:
        value = self.head(self.first(self.read(self.stem(x)).flatten(1)))
        return torch.stack([torch.zeros_like(value), value], 1)


class Term(nn.Module):
    """What one column adds to the second logit of a sum."""

    def __init__(self, feature: int, weight: float, head: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.features, self.head = (feature,), head
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        value = self.head(self.weight * x[:, list(self.features)])
        return torch.stack([torch.zeros_like(value), value], 1)


@dataclass(frozen=True)
class Case:
    """A model, its inputs, and what is known: ``exact`` values, the ``planted`` or the ``dead`` positions, or each
    position's ``twin``. The baseline is 0 everywhere, the target the second class."""

    kind: str
    truth: str
    model: Classifier
    x: np.ndarray
    background: np.ndarray
    exact: np.ndarray | None = None
    planted: np.ndarray | None = None
    dead: np.ndarray | None = None
    twin: np.ndarray | None = None

    def error(self, values: np.ndarray, complete: bool = False) -> float:
        """From 0, which is right; the mean over rows.

        Against exact values the root mean square of the error as a share of that of the values, for maps that do not
        promise to add up after the best positive scale; the share of the k largest that are not among the k planted;
        the share of the map that lies on dead positions; the difference of twins as a share of their size.
        """
        flat = values.reshape(len(values), -1).astype(np.float64)
        if self.exact is not None:
            return _distance(flat, self.exact, complete)
        size = np.abs(flat)
        if self.planted is not None:
            return float(np.mean([_missed(row, self.planted) for row in size]))
        if self.dead is not None:
            return float((size[:, self.dead].sum(1) / size.sum(1)).mean())
        apart = np.abs(flat - flat[:, self.twin]).sum(1)
        return float((apart / (size + size[:, self.twin]).sum(1)).mean())


def _distance(values: np.ndarray, exact: np.ndarray, complete: bool) -> float:
    size = (values**2).sum(1)
    scale = np.ones(len(values))
    if not complete:
        scale = np.divide(np.maximum((values * exact).sum(1), 0), size, out=np.zeros(len(size)), where=size > 0)
    missed = scale[:, None] * values - exact
    return float(np.sqrt((missed**2).sum(1) / (exact**2).sum(1)).mean())


def _missed(size: np.ndarray, planted: np.ndarray) -> float:
    """The share of the k largest that are not planted; ties are shared out."""
    k = int(planted.sum())
    cut = np.sort(size)[-k]
    sure, tied = size > cut, size == cut
    return 1 - (planted[sure].sum() + (k - sure.sum()) * planted[tied].mean()) / k


def _additive(h: Tensor) -> Tensor:
    return (torch.tanh(2 * h) + torch.relu(h - 0.5)).sum(1)


def _interactions(h: Tensor) -> Tensor:
    return h[:, 0] * h[:, 1] + h[:, 2] * h[:, 3] * h[:, 4] + torch.relu(h[:, 5] - h[:, 6]) + h[:, 7]


def _steps(h: Tensor) -> Tensor:
    return (torch.round(3 * h) / 3).sum(1)


def _planted(h: Tensor) -> Tensor:
    return 2 * torch.tanh(h.mean(1)) + (h * h.roll(1, 1)).mean(1)


def _redundant(h: Tensor) -> Tensor:
    return 2 * (1 - torch.prod(1 - h.clamp(0, 1), 1))


def _ripples(h: Tensor) -> Tensor:
    return torch.tanh(h[:, :4]).sum(1) + 0.03 * torch.sin(300 * h[:, 4:]).sum(1)


HEADS = {"linear": lambda h: h.sum(1), "additive": _additive, "interactions": _interactions, "steps": _steps}
HEADS["ripples"] = _ripples


SUMS = (HEADS["linear"], _additive, _steps)


def _inputs(kind: str, n: int, draw: np.random.Generator) -> np.ndarray:
    shape = (n, *SHAPES[kind])
    if kind == "tokens":
        return draw.integers(1, WORDS, shape)
    return draw.uniform(0.3, 1, shape).astype(np.float32)


def wrapped(kind: str, weight: np.ndarray, head: Callable[[Tensor], Tensor], name: str = "known") -> Classifier:
    """A Known module as the lab sees it."""
    bounds, embedding = (0, 1) if kind == "image" else None, "stem" if kind == "tokens" else None
    module = Known(kind, weight.astype(np.float32), head)
    if kind == "table" and head in SUMS:
        of = np.abs(weight).argmax(1)
        module.terms = nn.ModuleList(Term(int(f), float(row[f]), head) for f, row in zip(of, weight))
    return lk.wrap(module, classes=["no", "yes"], bounds=bounds, embedding=embedding, name=name)


def case(kind: str, truth: str, seed: int = 0) -> Case:
    """One model of the suite."""
    draw = np.random.default_rng([seed, *map(ord, kind + truth)])
    torch.manual_seed(seed)
    x, background = _inputs(kind, ROWS, draw), _inputs(kind, 16, draw)
    count = int(np.prod(SHAPES[kind]))
    if truth in HEADS:
        places = draw.permutation(count)[:8]
        weight = np.zeros((8, count))
        weight[np.arange(8), places] = draw.choice([-1, 1], 8) * draw.uniform(0.5, 1.5, 8)
        model = wrapped(kind, weight, HEADS[truth])
        return Case(kind, truth, model, x, background, exact=shapley(model, x, places))
    if truth in ("planted", "distractor"):
        places, others = _patches(kind)
        if truth == "distractor":
            for rows in (x, background):  # what the model ignores has the values of what it reads
                rows.reshape(len(rows), -1)[:, others] = rows.reshape(len(rows), -1)[:, places]
        weight = np.eye(count)[places]
        return Case(kind, truth, wrapped(kind, weight, _planted), x, background, planted=_flags(count, places))
    weight = draw.normal(size=(16, count)) / 2
    head = nn.Sequential(nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))
    if truth == "dead":
        dead = _flags(count, draw.permutation(count)[: count // 2])
        weight[:, dead] = 0
        return Case(kind, truth, wrapped(kind, weight, head), x, background, dead=dead)
    twin = np.arange(count)[::-1]
    for rows in (x, background):
        flat = rows.reshape(len(rows), -1)
        flat[:, twin[: count // 2]] = flat[:, : count // 2]
    return Case(kind, truth, wrapped(kind, weight + weight[:, twin], head), x, background, twin=twin)


def family(seed: int, rows: int = 8) -> dict[str, Case]:
    """Models on which different methods are right: nothing here is the same for two seeds.

    Steps have no gradient; fine detail is lost on squares; a redundant input changes nothing when it goes alone; ripples
    have steep slopes and no effect; a distractor has the values of what is read; interactions have no value of their own.
    """
    draw = np.random.default_rng([seed, 77])
    torch.manual_seed(seed)

    def exact(kind: str, truth: str, k: int = 6) -> Case:
        x, count = _inputs(kind, rows, draw), int(np.prod(SHAPES[kind]))
        places = draw.permutation(count)[:k]
        weight = np.zeros((k, count))
        weight[np.arange(k), places] = draw.choice([-1, 1], k) * draw.uniform(0.5, 1.5, k)
        model = wrapped(kind, weight, HEADS[truth])
        return Case(kind, truth, model, x, _inputs(kind, 16, draw), exact=shapley(model, x, places))

    def planted(kind: str, truth: str, head: Callable[[Tensor], Tensor], patch: bool = False) -> Case:
        x, count = _inputs(kind, rows, draw), int(np.prod(SHAPES[kind]))
        places, others = _patches(kind, draw) if patch else np.split(draw.permutation(count)[:10], 2)
        flat = x.reshape(rows, -1)
        flat[:, places] = 1 if truth == "redundant" else flat[:, others]
        weight = np.eye(count)[places]
        return Case(kind, truth, wrapped(kind, weight, head), x, _inputs(kind, 16, draw), planted=_flags(count, places))

    return {
        "steps, table": exact("table", "steps"),
        "steps, image": planted("image", "steps", _steps, patch=True),
        "steps, tokens": exact("tokens", "steps"),
        "fine detail, image": planted("image", "fine", _planted),
        "distractor, image": planted("image", "distractor", _planted, patch=True),
        "redundant, table": planted("table", "redundant", _redundant),
        "ripples, table": exact("table", "ripples", 8),
        "interactions, table": exact("table", "interactions", 8),
        "interactions, tokens": exact("tokens", "interactions", 8),
    }


def _patches(kind: str, draw: np.random.Generator | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The positions that are planted and those of the distractor: off the grid of any squares, or drawn."""
    if kind != "image":
        return np.array([2, 5, 8]), np.array([0, 3, 6])
    place = np.arange(144).reshape(12, 12)
    top, left = (2, 7) if draw is None else (int(v) for v in draw.integers(0, [4, 10]))
    below, beside = (7, 1) if draw is None else (int(v) for v in draw.integers([6, 0], 10))
    return place[top : top + 3, left : left + 3].ravel(), place[below : below + 3, beside : beside + 3].ravel()


def _flags(count: int, places: np.ndarray) -> np.ndarray:
    flags = np.zeros(count, bool)
    flags[places] = True
    return flags


def shapley(model: Classifier, x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n, positions) Shapley values of the second logit against a baseline of 0, over all coalitions of the places
    that matter; the others are null players."""
    k = len(places)
    coalitions = [c for size in range(k + 1) for c in combinations(range(k), size)]
    member = np.array([[i in c for i in range(k)] for c in coalitions])
    keep = np.ones((len(member), int(np.prod(x.shape[1:]))), bool)
    keep[:, places] = member
    rows = np.where(keep[:, None], x.reshape(1, len(x), -1), 0).astype(x.dtype).reshape(-1, *x.shape[1:])
    with torch.no_grad():
        worth = model(model.tensor(rows))[:, 1].double().numpy().reshape(len(member), len(x))
    number = {c: i for i, c in enumerate(coalitions)}
    values = np.zeros((len(x), keep.shape[1]))
    for i, place in enumerate(places):
        for c in coalitions:
            if i not in c:
                gain = worth[number[tuple(sorted((*c, i)))]] - worth[number[c]]
                values[:, place] += gain / (k * comb(k - 1, len(c)))
    return values


def attributed(of: Case, name: str, **options: object) -> np.ndarray | str:
    """One method's map of a case; "-" where it refuses, "withheld" where it contradicts itself or says nothing."""
    background = of.background if "background" in needs(registry.find("attributions", name)) else None
    try:
        record = lk.explain(of.model, of.x, name, 1, 0, evidence=(), background=background, **options)
    except lk.Refused:
        return "-"
    return record.attribution if record.status == "measured" and not record.withheld.any() else "withheld"


def measured(of: Case, name: str) -> str:
    """One cell of a table."""
    found = attributed(of, name)
    if isinstance(found, str):
        return found
    return f"{of.error(found, 'complete' in promises(registry.find('attributions', name))):.2f}"


def chance(of: Case) -> float:
    """The error of a random map, on average over 50."""
    draw = np.random.default_rng(0)
    return float(np.mean([of.error(draw.normal(size=of.x.shape)) for _ in range(50)]))


def table(kind: str) -> dict[str, list[str]]:
    """{method: a cell for each truth} on one kind of input; the first row is a random map."""
    cases = [case(kind, truth) for truth in TRUTHS]
    by_chance = {"a random map": [f"{chance(of):.2f}" for of in cases]}
    return by_chance | {name: [measured(of, name) for of in cases] for name in lk.names("attributions")}


def errors(of: Case, names: Sequence[str]) -> dict[str, float]:
    """Every method's error of one case; a method that refuses or is withheld counts as a random map."""
    by_chance = chance(of)
    maps = {name: attributed(of, name) for name in names}
    return {name: by_chance if isinstance(found, str) else of.error(found) for name, found in maps.items()}


def recommended(seeds: Sequence[int] = SEEDS, best: int = 6) -> list[list[str]]:
    """A line a model of the family: the error of the recommended method beside those of the methods that are best on
    average when one is run everywhere. The first line names them."""
    names = lk.names("attributions")
    fixed: dict[str, list[dict[str, float]]] = {}
    chosen: dict[str, list[float]] = {}
    for seed in seeds:
        for label, of in family(seed).items():
            found = errors(of, names)
            record = lk.recommend(of.model, of.x, 1, 0, background=of.background, budget=60_000, unit="passes")
            chosen.setdefault(label, []).append(found[record.choice] if record.choice else chance(of))
            fixed.setdefault(label, []).append(found)
    mean = {label: {name: np.mean([f[name] for f in found]) for name in names} for label, found in fixed.items()}
    overall = {name: np.mean([row[name] for row in mean.values()]) for name in names}
    shown = sorted(names, key=lambda name: overall[name])[:best]
    lines = [["model", "recommended", *(f"`{name}`" for name in shown)]]
    lines += [[label, _cell(chosen[label]), *(_cell(row[name]) for name in shown)] for label, row in mean.items()]
    return [*lines, ["mean", _cell(list(chosen.values())), *(_cell(overall[name]) for name in shown)]]


def _cell(value: object) -> str:
    return f"{np.mean(value):.2f}"  # type: ignore[call-overload]


def cells(kind: str) -> list[list[str]]:
    """The table of one kind of input, a line a method."""
    named = [[f"`{name}`" if name in lk.names("attributions") else name, *row] for name, row in table(kind).items()]
    return [["method", *TRUTHS], *named]


def markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


def shown(name: str) -> str:
    """What stands on the page under that name."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN.format(name))[2].partition(END.format(name))[0].strip()


def write(made: dict[str, Callable[[], list[list[str]]]]) -> None:
    """Bring tables of the page up to date."""
    for name, make in made.items():
        lines = markdown(make())
        text = PAGE.read_text(encoding="utf-8")
        begin, end = BEGIN.format(name), END.format(name)
        head, _, rest = text.partition(begin)
        PAGE.write_text(f"{head}{begin}\n{lines}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    asked = sys.argv[1:] or [*SHAPES, "recommend"]
    write({name: recommended if name == "recommend" else partial(cells, name) for name in asked})
