"""A metric bound to predictions: its value on any rows, in bootstrap draws, and in permutations of groups."""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from labkit.core import method, progress, registry, resampling
from labkit.core.intervals import Rate, wilson
from labkit.core.refused import Refused
from labkit.metrics import Labels, Reals
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

Metric = Callable[..., float]
# Draws are made from counts of at most MOST different rows, scores taken in LEVELS; beyond, row by row.
LEVELS, MOST = 256, 1024
# Replicates are weighed in parts of at most so many numbers, to bound memory.
PART = 4_000_000


class Measure:
    """One metric on one set of predictions or scores.

    Args:
        metric: a name or a function of ``y_true``, ``y_pred``, ``y_proba`` (``y_score``), any of them.
        p: the predictions.
        positive: the index of the positive class; None where no class is (then only metrics of ``Labels`` work).
        perfect: whether the answers are replaced by the truth, for what a model without error would show.
        of: which of several questions it is about, such as one class or label; it stands behind the name.
    """

    def __init__(
        self,
        asked: str,
        metric: str | Metric,
        p: Predictions | Scores,
        positive: int | None,
        *,
        perfect: bool = False,
        of: str = "",
    ) -> None:
        metric_name = registry.label(metric)
        self.name = f"{metric_name} of {of}" if of else metric_name
        self.function = registry.find("metrics", metric)
        wanted, hints = method.needs(self.function), _hints(self.function)
        self.labels = hints.get("y_true") == Labels
        of_numbers = isinstance(p, Scores)
        unclear = positive is None and not self.labels
        if not isinstance(p, Scores) and unclear and Reals not in hints.values():
            raise Refused(
                f"{asked} with {self.name}",
                f"{len(p.classes)} classes and none named as positive",
                "positive= with one of " + ", ".join(map(repr, p.classes[:6])),
            )
        self.options = method.bind("metrics", self.name, self.function, {}).options if hints else {}
        offered = (
            _of_scores(p, perfect) if isinstance(p, Scores) else _of_predictions(p, positive, perfect, self.labels)
        )
        # labkit's own metrics say whether they are of numbers or of classes; of others nothing is known.
        own = str(getattr(self.function, "__module__", "")).startswith("labkit.metrics.")
        stated = [hints.get(name) for name in wanted if name != "above"]
        strange = own and any((hint == Reals) != of_numbers for hint in stated)
        missing = [name for name in wanted if name not in offered]
        if strange or missing:
            raise Refused(f"{asked} with {self.name}", _lacks(missing, offered, of_numbers), _instead(p))
        self.columns = {name: offered[name] for name in wanted}
        self.truth = None if isinstance(p, Scores) or positive is None or not p.has_truth else p.y == positive
        self.count = getattr(p, "count", None)
        self.least, self.most = method.range_of(self.function, (0.0, 1.0)) if own else (-np.inf, np.inf)
        self.weighs = "weight" in inspect.signature(self.function).parameters
        self._classes = not of_numbers
        if self.count is not None and not self.weighs:
            given = f"{len(p)} counted rows that stand for {p.people} people"
            raise Refused(f"{asked} with {self.name}", given, "a metric that takes a weight, as labkit's own do")

    @property
    def constant(self) -> bool:
        """Whether every answer that the metric reads is the same."""
        answers = [v for k, v in self.columns.items() if k != "y_true"]
        return bool(answers) and all((v == v[0]).all() for v in answers)

    @cached_property
    def better(self) -> int:
        """1 when the truth scores above its opposite under this metric, -1 when below, 0 when alike or unknown."""
        truth = np.array([0, 0, 1, 1])
        right, wrong = (
            self.of({name: truth if name == "y_true" else answer for name in self.columns})
            for answer in (truth, 1 - truth)
        )
        return 0 if np.isnan(right) or np.isnan(wrong) else int(np.sign(right - wrong))

    def value(self, rows: Any = slice(None)) -> float:
        """The metric on some rows; nan on none, and where it is not defined."""
        part = {name: column[rows] for name, column in self.columns.items()}
        if not len(next(iter(part.values()))):
            return float("nan")
        return self.of(part | ({} if self.count is None else {"weight": self.count[rows]}))

    def of(self, part: dict[str, np.ndarray]) -> float:
        """The metric of columns by their names."""
        if self.weighs:
            result = self.function(**part, **self.options)
            return result if isinstance(result, Rate) else float(result)
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                result = float(self.function(**part, **self.options))
        except Exception as error:
            if "y_true" in part and len(np.unique(part["y_true"])) < 2:
                return float("nan")
            raise Refused(f"the metric {self.name}", f"it raises: {error}", "a metric of NumPy arrays") from error
        # scikit-learn gives 0 or 1 for 0 of 0, and says so only in a warning.
        return float("nan") if any("Undefined" in w.category.__name__ for w in said) else result

    @cached_property
    def compares_classes(self) -> bool:
        """Whether the metric is undefined on one class alone, as AUC is: it then compares the classes."""
        truth = self.columns.get("y_true")
        return self._classes and truth is not None and bool(np.isnan(self.value(truth == truth[0])))

    def _counted(self, code: np.ndarray, rows: np.ndarray, size: int) -> np.ndarray:
        """(size,) how many people have each code, among some rows."""
        weights = None if self.count is None else self.count[rows]
        return np.bincount(code, weights, size).astype(np.int64)

    @cached_property
    def _cells(self) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
        """The different rows and which of them each row is, when they are few and the metric can weigh them.

        Scores are taken in levels: draws by count are some hundred times faster than draws by row.
        """
        if not self.weighs:
            return None
        columns = {k: resampling.coarse(v, LEVELS) if v.dtype.kind == "f" else v for k, v in self.columns.items()}
        codes = [np.unique(column, return_inverse=True) for column in columns.values()]
        if np.prod([float(len(values)) for values, _ in codes]) > MOST:
            return None
        key = np.ravel_multi_index([code for _, code in codes], [len(values) for values, _ in codes])
        _, first, code = np.unique(key, return_index=True, return_inverse=True)
        return {name: column[first] for name, column in columns.items()}, code

    def _weighed(self, cells: dict[str, np.ndarray], counts: np.ndarray) -> np.ndarray:
        size = max(1, PART // int(np.prod(counts.shape[1:])))
        parts = range(0, len(counts), size)
        return np.concatenate([self.function(**cells, weight=counts[i : i + size], **self.options) for i in parts])

    def bootstrap(self, rows: np.ndarray, replicates: int, generator: np.random.Generator) -> np.ndarray:
        """(replicates,) of the metric on rows drawn with replacement from ``rows`` (positions)."""
        if self._cells is not None:
            cells, code = self._cells
            counts = self._counted(code[rows], rows, len(next(iter(cells.values()))))
            draws = self._weighed(cells, resampling.bootstrap_counts(counts, replicates, generator))
            return draws + (self.value(rows) - self._weighed(cells, counts[None])[0])
        if self.count is not None:
            counts = resampling.bootstrap_counts(self.count[rows], replicates, generator)
            return self._weighed({name: column[rows] for name, column in self.columns.items()}, counts)
        draws = np.empty(replicates)
        for i in range(replicates):
            progress.step(f"bootstrap of {self.name}", i, replicates)
            draws[i] = self.value(generator.choice(rows, len(rows)))
        return draws

    def paired(self, other: Measure, replicates: int, generator: np.random.Generator) -> np.ndarray:
        """(replicates,) of this measure minus another on the same rows, drawn with replacement."""
        n = len(next(iter(self.columns.values())))
        draws = np.empty(replicates)
        size = max(1, PART // n) if self.weighs else 1
        for done in range(0, replicates, size):
            progress.step(f"paired bootstrap of {self.name}", done, replicates)
            part = generator.integers(n, size=(min(size, replicates - done), n))
            if self.weighs:
                counts = np.stack([np.bincount(rows, minlength=n) for rows in part])
                values = [m._weighed(m.columns, counts) for m in (self, other)]
            else:
                values = [np.array([m.value(rows) for rows in part]) for m in (self, other)]
            draws[done : done + len(part)] = values[0] - values[1]
        return draws

    def permuted(self, group: np.ndarray, count: int, replicates: int, generator: np.random.Generator) -> np.ndarray:
        """(replicates, groups) of the metric when people change groups at random.

        Args:
            group: (n,) each row's group from 0 to ``count`` - 1, or -1 for rows that take no part.

        A metric that compares classes keeps the number of each class in each group, since unequal base rates are no
        unequal treatment by that metric.
        """
        part = np.flatnonzero(group >= 0)
        truth = self.columns.get("y_true")
        strata = truth[part] if truth is not None and self.compares_classes else np.zeros(len(part), np.int64)
        if self._cells is not None:
            cells, code = self._cells
            width = len(next(iter(cells.values())))
            counts = np.zeros((replicates, count, width), np.int64)
            for stratum in np.unique(strata):
                inside = part[strata == stratum]
                table = self._counted(group[inside] * width + code[inside], inside, count * width)
                counts += resampling.permuted_tables(table.reshape(count, width), replicates, generator)
            return self._weighed(cells, counts)
        if self.count is not None:
            given = f"counts of more than {MOST} different answers"
            raise Refused(f"permutations of {self.name}", given, "fewer distinct scores")
        draws = np.empty((replicates, count))
        for i in range(replicates):
            progress.step(f"permutations of {self.name}", i, replicates)
            shuffled = resampling.permuted(group[part], strata, generator)
            draws[i] = [self.value(part[shuffled == g]) for g in range(count)]
        return draws

    def interval(
        self, rows: np.ndarray, replicates: int, generator: np.random.Generator
    ) -> tuple[float, float, float, np.ndarray | None]:
        """Value and 95 % interval on some rows: Wilson's for a proportion, else a bias-corrected bootstrap's draws."""
        value = self.value(rows)
        if isinstance(value, Rate):
            ends = wilson(value.hits, value.of)
            return value, float(ends[0]), float(ends[1]), None
        if np.isnan(value):
            return value, value, value, None
        draws = self.bootstrap(rows, replicates, generator)
        low, high = resampling.bias_corrected(draws, value)
        return value, float(max(low, self.least)), float(min(high, self.most)), draws


def _of_predictions(p: Predictions, positive: int | None, perfect: bool, labels: bool) -> dict[str, np.ndarray]:
    """What a metric of classes may ask for: the truth where there is one, answers, and probabilities where they are."""
    answer = p.y if perfect else p.label
    columns = {"y_pred": answer if labels else (answer == positive).astype(np.int64)}
    if p.has_truth:
        columns["y_true"] = p.y if labels else (p.y == positive).astype(np.int64)
    if p.proba is not None and positive is not None:
        chance = (p.y == positive).astype(float) if perfect else p.proba[:, positive].astype(float)
        columns |= {"y_proba": chance, "y_score": chance}
    return columns


def _of_scores(p: Scores, perfect: bool) -> dict[str, np.ndarray]:
    """What a metric of numbers may ask for."""
    value = p.y if perfect and p.y is not None else p.value
    columns = {"y_pred": value.astype(float), "above": value > np.median(value)}
    return columns if p.y is None else columns | {"y_true": p.y.astype(float)}


def _lacks(missing: list[str], offered: dict[str, np.ndarray], of_numbers: bool) -> str:
    if missing:
        return f"a metric that needs {', '.join(missing)}; on offer: {', '.join(sorted(offered))}"
    return "a metric of classes, and scores" if of_numbers else "a metric of numbers, and answers that are classes"


def _instead(p: Predictions | Scores) -> str:
    if not p.has_truth:
        return "y= with the column of the truth, or a metric that needs none, such as " + (
            "scoring_rate" if isinstance(p, Scores) else "selection_rate"
        )
    if isinstance(p, Scores):
        return "a metric of numbers, such as mean_error; a threshold makes classes of scores"
    return "predictions with probabilities" if p.proba is None else "a metric of y_true, y_pred and y_proba"


def _hints(function: Metric) -> dict[str, Any]:
    """The annotations of a function; none for a ``functools.partial`` or a callable object."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (TypeError, NameError):
        return {}
