"""Does a model make more of the tie between group and class than there is in the data?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._groups.people import people
from labkit.analyses._predicted import Statement
from labkit.core import progress, resampling
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.records.bias_amplification import BiasAmplification
from labkit.records.predict import Predictions

ASKED = "bias_amplification"
# Draws of whole tables are made in parts of at most so many numbers.
PART = 4_000_000
Runs = Predictions | Sequence[Predictions]


def bias_amplification(
    runs: Runs,
    by: str | tuple[str, ...],
    train: Predictions | Split | None = None,
    *,
    attribute: Runs | None = None,
    seed: int = 0,
    replicates: int = 1000,
    least: int = 30,
) -> BiasAmplification:
    """Directional bias amplification (Wang and Russakovsky, 2021, arXiv 2102.12594), with what group-blind errors give.

    For group a and class t the rate of the answer t among a, less the rate of the truth, counts as it is where a and t
    occur together more often than if they were independent, and turned round where less often; the mean over all a and
    t is the value. Any number of groups and classes. Directions are those of ``train`` where it is given, as in the
    authors' code; the truth held against is that of the same people ("test") and of the training data ("train").

    The interval is over people (bootstrap of the counts, training people too) and, with several runs, over runs
    (Student, degrees of freedom by Welch and Satterthwaite). The null keeps each true class's answers and deals them
    at random over the groups: errors alone move the value below 0, and by group only what is beyond that.

    Args:
        runs: answers of one model, or of several training runs of it, on the same people. The authors ask for several.
        by: the sensitive feature; a tuple of several means their intersection.
        train: the training data's classes and groups.
        attribute: predictions of the group for the same people (classes are the groups), one for each run: then the
            direction T->A is measured too. Predicting a sensitive attribute is itself something to avoid.
        replicates: bootstrap draws and permutations.
        least: groups (for T->A classes) with fewer people are shown and not in the mean.

    Raises:
        Refused: runs on other people, a feature without two groups, attributes that are not the groups' predictions.
    """
    given = _listed(runs)
    guessed = [] if attribute is None else _listed(attribute)
    named = {f"run {i}" if len(given) > 1 else "data": p for i, p in enumerate(given)}
    named |= {f"attribute {i}": p for i, p in enumerate(guessed)}
    source = None if train is None else people(ASKED, train)
    options = {"by": by, "replicates": replicates, "least": least}
    statement = Statement(ASKED, options, seed, named | ({} if source is None else {"train": source}))
    feature = grouping(ASKED, given[0], by)
    _refuse(given, guessed, feature, by, replicates)
    known = feature.code >= 0
    code, truth = feature.code[known], given[0].y[known]
    answers = np.array([p.label[known] for p in given])
    sizes = len(feature.groups), len(given[0].classes)
    warnings = [*given[0].warnings]
    trained = None if source is None else _train_table(source, feature, given[0].classes, by, warnings)
    sides = {"A->T": _Side(code, truth, answers, *sizes, trained)}
    if guessed:
        told = np.array([_as_groups(p, feature)[known] for p in guessed])
        sides["T->A"] = _Side(truth, code, told, *sizes[::-1], None if trained is None else trained.T)
    if len(given) == 1:
        warnings.append(
            "one training run: the interval is over people alone, and another run may differ; five or more tell"
        )
    found: list[dict[str, Any]] = []
    for name, side in sides.items():
        for reference in ("test",) if trained is None else ("test", "train"):
            progress.step(ASKED, len(found), 2 * len(sides))
            generator = resampling.stream(seed, ASKED, name, reference)
            part = side.measured(reference == "train", least, replicates, generator, warnings)
            turned = {k: v.T for k, v in part.items() if name == "T->A" and np.ndim(v) == 2}
            found.append(part | turned | {"direction": name, "reference": reference})
    progress.step(ASKED, len(found), len(found))
    unknown = int((~known).sum())
    warnings += [f"{unknown} of {len(known)} people have no known {feature.name}"] * (unknown > 0)
    columns = {k: [part[k] for part in found] for k in found[0]}
    measures: dict[str, Any] = {k: tuple(columns.pop(k)) for k in ("direction", "reference")}
    measures |= {k: np.array(v) for k, v in columns.items()}
    return BiasAmplification(
        provenance=statement.provenance(),
        warnings=tuple(dict.fromkeys(warnings)),
        feature=feature.name,
        groups=feature.groups,
        classes=given[0].classes,
        n=len(code),
        count=feature.counts(),
        people=sides["A->T"].base.astype(np.int64),
        runs=len(given),
        replicates=replicates,
        **measures,
    )


def _listed(runs: Runs) -> list[Predictions]:
    return [runs] if isinstance(runs, Predictions) else list(runs)


def _refuse(given: list[Predictions], guessed: list[Predictions], feature: Grouping, by: Any, replicates: int) -> None:
    first = given[0]
    for other in given[1:]:
        if not np.array_equal(other.y, first.y) or not np.array_equal(grouping(ASKED, other, by).code, feature.code):
            raise Refused(ASKED, "runs on other people than the first", "what each run answered on the same people")
        if other.classes != first.classes:
            raise Refused(ASKED, "runs with other classes than the first", "the same classes in the same order")
    if (feature.counts() > 0).sum() < 2:
        names = ", ".join(feature.groups) or "none"
        raise Refused(f"{ASKED} by {feature.name}", f"people of the groups {names}", "people of two groups or more")
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    if guessed and len(guessed) != len(given):
        raise Refused(ASKED, f"{len(guessed)} attribute predictions for {len(given)} runs", "one for each run")


def _as_groups(p: Predictions, feature: Grouping) -> np.ndarray:
    """(n,) the predicted group of each person, as a number of the grouping."""
    asked = f"{ASKED} from class to {feature.name}"
    if set(p.classes) != set(feature.groups) or len(p) != len(feature.code):
        given = f"{len(p)} predictions of {', '.join(p.classes[:6])}"
        raise Refused(asked, given, f"one of {', '.join(feature.groups[:6])} for each of {len(feature.code)} people")
    place = np.array([feature.groups.index(c) for c in p.classes])
    known = feature.code >= 0
    if (place[p.y][known] != feature.code[known]).any():
        given = "attribute predictions whose truth is not the group"
        raise Refused(asked, given, "predictions of the group for the same people in the same order")
    return place[p.label]


def _train_table(
    source: Predictions, feature: Grouping, classes: tuple[str, ...], by: Any, warnings: list[str]
) -> np.ndarray:
    """(groups, classes) training people, by the groups of the test people."""
    if source.classes != classes:
        given = f"training classes {', '.join(source.classes[:4])}"
        raise Refused(ASKED, given, f"{', '.join(classes[:4])}, in this order")
    found = grouping(ASKED, source, by)
    place = np.array([feature.groups.index(g) if g in feature.groups else -1 for g in found.groups] + [-1])
    strangers = [g for g in found.groups if g not in feature.groups]
    if strangers:
        warnings.append(f"{feature.name} {', '.join(strangers[:6])}: in the training data alone, left out")
    code = place[found.code]
    key = code[code >= 0] * len(classes) + source.y[code >= 0]
    return np.bincount(key, minlength=len(feature.groups) * len(classes)).reshape(-1, len(classes))


@dataclass
class _Side:
    """One direction: what is given (the group, or the class), what is to be told, and what each run answered.

    Attributes:
        code, truth: (n,). answers: (runs, n). given, told: how many values each has.
        trained: (given, told) training people, or None.
    """

    code: np.ndarray
    truth: np.ndarray
    answers: np.ndarray
    given: int
    told: int
    trained: np.ndarray | None

    def __post_init__(self) -> None:
        n, runs = len(self.truth), len(self.answers)
        # People of one truth whose answers over the runs are alike count together.
        tally = np.zeros((n, self.told), np.int64)
        for answer in self.answers:
            tally[np.arange(n), answer] += 1
        kinds, kind = np.unique(np.column_stack([self.truth, tally]), axis=0, return_inverse=True)
        self.kind_truth, self.shares = kinds[:, 0], kinds[:, 1:] / runs
        width = len(kinds)
        key = self.code * width + np.ravel(kind)
        self.table = np.bincount(key, minlength=self.given * width).reshape(self.given, width)
        self.base = self.table @ np.eye(self.told)[self.kind_truth]

    def measured(
        self, against_train: bool, least: int, replicates: int, generator: np.random.Generator, warnings: list[str]
    ) -> dict[str, Any]:
        tied = self.base if self.trained is None else self.trained
        held = tied if against_train else self.base
        sign, sure = _ties(tied)
        sizes = self.base.sum(1)
        enough = (np.minimum(sizes, held.sum(1)) >= least) & (held.sum(1) > 0)
        if enough.sum() < 2:
            enough = np.minimum(sizes, held.sum(1)) > 0
            warnings.append(f"fewer than two of what is given have {least} people; the small ones count all the same")
        counted = np.repeat(enough[:, None], self.told, 1)

        def terms(hits: np.ndarray, of: np.ndarray, truth: np.ndarray) -> np.ndarray:
            return sign * (_rates(hits, of) - _rates(truth, truth.sum(-1)))

        def mean(values: np.ndarray) -> np.ndarray:
            return values[..., counted].mean(-1)

        each = np.array([self._hits(answer) for answer in self.answers])
        by_run, term = terms(each, sizes, held), terms(self.table @ self.shares, sizes, held)
        drawn = np.concatenate([terms(*draw) for draw in self._drawn(held, against_train, replicates, generator)])
        null = mean(terms(self._permuted(replicates, generator), sizes, held))
        # As in intervals.paired_mean, one person more at either end: no interval collapses where all answers are right.
        more = 2 / (sizes + 2) ** 2
        people_var, runs_var = _over_draws(mean(drawn)), _spread(mean(by_run))
        low, high = _ends(mean(term), people_var + more[enough].sum() / enough.sum() ** 2, runs_var, len(each))
        term_ends = _ends(term, _over_draws(drawn) + more[:, None], _spread(by_run), len(each))
        return {
            "value": mean(term),
            "low": low,
            "high": high,
            "by_run": mean(by_run),
            "runs_sd": np.sqrt(runs_var) if len(each) > 1 else np.nan,
            "people_sd": np.sqrt(people_var),
            "null_mean": null.mean(),
            "null_low": np.quantile(null, 0.025),
            "null_high": np.quantile(null, 0.975),
            "p": resampling.share_as_large(null, float(mean(term))),
            "term": term,
            "term_low": term_ends[0],
            "term_high": term_ends[1],
            "sign": sign,
            "sure": sure,
            "counted": counted,
        }

    def _hits(self, answer: np.ndarray) -> np.ndarray:
        """(given, told) how often each is answered."""
        key = self.code * self.told + answer
        return np.bincount(key, minlength=self.given * self.told).reshape(self.given, self.told)

    def _drawn(self, held: np.ndarray, against_train: bool, replicates: int, generator: np.random.Generator) -> Any:
        """Bootstrap draws in parts: answers, how many people, and the truth held against."""
        size, right = max(1, PART // self.table.size), np.eye(self.told)[self.kind_truth]
        for done in range(0, replicates, size):
            count = min(size, replicates - done)
            drawn = resampling.bootstrap_counts(self.table.ravel(), count, generator).reshape(count, *self.table.shape)
            truth = drawn @ right
            if against_train:
                truth = resampling.bootstrap_counts(held.ravel(), count, generator).reshape(count, *held.shape)
            yield drawn @ self.shares, drawn.sum(2), truth

    def _permuted(self, replicates: int, generator: np.random.Generator) -> np.ndarray:
        """(replicates, given, told) answers when those of each true class are dealt at random."""
        hits = np.zeros((replicates, self.given, self.told))
        for value in np.unique(self.kind_truth):
            cells = np.flatnonzero(self.kind_truth == value)
            size = max(1, PART // (self.given * len(cells)))
            for done in range(0, replicates, size):
                count = min(size, replicates - done)
                dealt = resampling.permuted_tables(self.table[:, cells], count, generator)
                hits[done : done + count] += dealt @ self.shares[cells]
        return hits


def _rates(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
    of = np.broadcast_to(of[..., None], hits.shape)
    return np.divide(hits, of, out=np.full(hits.shape, np.nan), where=of > 0)


def _ties(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(given, told) whether the two occur together more or less often than if independent, and whether surely."""
    n = table.sum()
    row, column = table.sum(1, keepdims=True) / n, table.sum(0, keepdims=True) / n
    apart = table / n - row * column
    spread = np.sqrt(row * (1 - row) * column * (1 - column) / n)
    return np.sign(np.where(np.abs(apart) < 1e-12, 0.0, apart)), np.abs(apart) > 1.96 * spread


def _over_draws(values: np.ndarray) -> Any:
    """Variance over the draws in which there is a value, as there is none of nobody; nan without any."""
    return np.ma.filled(np.ma.masked_invalid(values).var(0), np.nan)


def _spread(values: np.ndarray) -> Any:
    return values.var(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1:])


def _ends(value: Any, people_var: Any, runs_var: Any, runs: int) -> tuple[Any, Any]:
    """Student's interval where two sources of variance add up; the normal one for one run."""
    from scipy.stats import t

    of_runs = np.asarray(runs_var) / runs
    total = people_var + of_runs
    # Welch and Satterthwaite: the variance over people is taken as known
    freedom = np.divide((runs - 1) * total**2, of_runs**2, out=np.full(np.shape(total), np.inf), where=of_runs > 0)
    half = t.ppf(0.975, freedom) * np.sqrt(total)
    return value - half, value + half
