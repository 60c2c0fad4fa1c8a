"""Why did the decision go against these people?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from labkit.analyses._columns import between, class_of, place, require_table
from labkit.analyses._explain.reference import Score, contributions, overlap, turned
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, check_classifier, logits, unchanged
from labkit.analyses._preflight import preflight
from labkit.core import resampling
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.reading import leads
from labkit.records.reasons import Reasons

ASKED = "reasons"
Population = Literal["passed", "just passed", "all"]
WORDS = {
    "passed": "those with another answer",
    "just passed": "the quarter of those with another answer that came nearest to this one",
    "all": "everyone",
}
SURE = 1.96  # standard errors that a contribution is above 0 to be a reason
TELLS = 0.5  # association from which a reason is said to tell of a prohibited basis
PEOPLE = 64  # of the population, whose values are put in the place of the reasons'


def reasons(
    model: Classifier,
    data: Split,
    adverse: int | str,
    reference: Split,
    *,
    population: Population = "passed",
    prohibited: Sequence[str] | None = None,
    most: int = 4,
    pairs: int = 64,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> Reasons:
    """The principal reasons of adverse answers: the columns that add most to the adverse score relative to a named
    population, by interventional Shapley values on the score's scale.

    A prohibited basis is never a reason. Where one is among the largest contributions the person is marked: the reasons
    left then do not tell the whole, and that is a finding about the model. Each list comes with its sufficiency (do the
    population's values in its place turn the answer, beside as many other columns), and with its stability over draws and
    over another population. 12 CFR 1002.9(b)(2) asks for specific principal reasons; whether these will do, a person
    decides.

    Args:
        data: a table; people whom the model answers otherwise get no reasons.
        adverse: the class that goes against a person.
        reference: rows that the population is taken from: "passed", "just passed" or "all".
        prohibited: columns that may not be reasons; None takes those named as, or like, a group of the schema.
        most: reasons at most. pairs: draws of a person of the population and an order of the columns.

    Raises:
        Refused: data that are no table, unknown names, a population without anyone.
    """
    check_classifier(model, ASKED)
    data, reference = require_table(ASKED, data), require_table(f"{ASKED}, reference", reference)
    if population not in get_args(Population):
        raise unknown(f"{ASKED} against a population", str(population), get_args(Population))
    for name, number, least in (("most", most, 1), ("pairs", pairs, 4)):
        if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < least:
            raise Refused(ASKED, f"{name}={number!r}", f"a whole number of at least {least}")
    names = tuple(f.name for f in data.schema.features)
    held = _prohibited(data, prohibited)
    against = class_of("an adverse answer", model, adverse)
    options = {"adverse": model.classes[against], "population": population, "prohibited": held, "most": most}
    x, y, about = as_split(data, model)
    run = Run(ASKED, {**options, "pairs": pairs}, seed, model, about, batch_size)
    preflight(run, model, x, y)
    other: Population = "all" if population != "all" else "passed"
    with unchanged(model):
        margin = _margin(run, model, against)
        adverse_rows = np.flatnonzero(margin(x) > 0)
        people = {p: _people(margin, as_split(reference, model)[0], p) for p in (population, other)}
        if not len(people[population]):
            given = f"{len(reference)} rows of {reference.name}, of which none has another answer"
            raise Refused(f"{ASKED} against {WORDS[population]}", given, "more rows, or population='all'")
        chosen = x[adverse_rows]
        drawn = contributions(margin, chosen, people[population], pairs, resampling.stream(seed, ASKED))
        found, error = _mean(drawn)
        barred = np.isin(names, held)
        picked = _picked(found, error, barred, most)
        halves = [_picked(*_mean(half), barred, most) for half in np.array_split(drawn, 2)]
        elsewhere = np.full(len(chosen), np.nan)
        if len(people[other]):  # everybody may have the adverse answer
            stream = resampling.stream(seed, ASKED, "other")
            beside = _mean(contributions(margin, chosen, people[other], pairs, stream))
            elsewhere = overlap(picked, _picked(*beside, barred, most))
        compared = _some(people[population], resampling.stream(seed, ASKED, "people"))
        kept = [row[row >= 0] for row in picked]
        random = _others(kept, barred, resampling.stream(seed, ASKED, "random"))
        sufficiency, control = (turned(lambda v: margin(v) <= 0, chosen, compared, c) for c in (kept, random))
    proxies = _proxies(data, names, held, {int(c) for row in kept for c in row})
    return Reasons(
        provenance=run.provenance(),
        status="measured" if len(adverse_rows) else "not_measured",
        reason="" if len(adverse_rows) else f"none of {len(x)} rows is answered {model.classes[against]}",
        adverse=model.classes[against],
        population=f"{WORDS[population]} among {reference.name}",
        other=WORDS[other],
        n_reference=len(people[population]),
        features=names,
        prohibited=held,
        row=adverse_rows,
        contribution=found,
        standard_error=error,
        given=picked,
        words=tuple(
            tuple(_words(data, row, int(c), compared) if c >= 0 else "" for c in places)
            for row, places in zip(chosen, picked)
        ),
        hidden=_hidden(found, error, barred, most),
        sufficiency=sufficiency,
        random=control,
        stability=overlap(*halves),
        elsewhere=elsewhere,
        proxy=tuple(names[c] for c, _, _ in proxies),
        basis=tuple(g for _, g, _ in proxies),
        association=np.array([much for _, _, much in proxies]),
        of=len(x),
    )


def _prohibited(data: Split, given: Sequence[str] | None) -> tuple[str, ...]:
    """The columns that may not be reasons, in the table's order."""
    names = [f.name for f in data.schema.features]
    if given is not None:
        return tuple(names[i] for i in sorted({place("a prohibited basis", data, g) for g in given}))
    groups = data.schema.groups
    return tuple(n for n in names if any(g == n or g.startswith(f"{n}_") for g in groups))


def _margin(run: Run, model: Classifier, against: int) -> Score:
    """The adverse logit less the largest other: above 0 the answer is adverse."""
    asked = leads(model, "rest")

    def margin(rows: np.ndarray) -> np.ndarray:
        return logits(run, asked, rows, ASKED)[:, against].astype(np.float64) if len(rows) else np.zeros(0)

    return margin


def _people(margin: Score, x: np.ndarray, population: Population) -> np.ndarray:
    if population == "all":
        return x
    score = margin(x)
    passed, score = x[score <= 0], score[score <= 0]
    if population == "passed" or not len(passed):
        return passed
    return passed[score >= np.quantile(score, 0.75)]


def _some(people: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return people[np.sort(generator.permutation(len(people))[:PEOPLE])]


def _mean(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the draws, and its standard error."""
    return drawn.mean(0), drawn.std(0, ddof=1) / np.sqrt(len(drawn))


def _picked(values: np.ndarray, error: np.ndarray, barred: np.ndarray, most: int) -> np.ndarray:
    """(n, most) columns with the largest contributions that are surely above 0 and not barred; -1 where there are fewer."""
    allowed = np.where((values > SURE * error) & ~barred, values, -np.inf)
    order = np.argsort(-allowed, axis=1, kind="stable")[:, :most]
    places = np.where(np.isfinite(np.take_along_axis(allowed, order, 1)), order, -1)
    return np.pad(places, ((0, 0), (0, most - places.shape[1])), constant_values=-1)


def _hidden(values: np.ndarray, error: np.ndarray, barred: np.ndarray, most: int) -> np.ndarray:
    """(n,) whether a barred column would have been among the reasons."""
    first = _picked(values, error, np.zeros_like(barred), most)
    return ((first >= 0) & barred[first]).any(1)


def _others(kept: list[np.ndarray], barred: np.ndarray, generator: np.random.Generator) -> list[np.ndarray]:
    """For each row as many columns that are no reasons and not barred, as far as there are."""
    free = [np.setdiff1d(np.flatnonzero(~barred), row) for row in kept]
    return [generator.permutation(f)[: len(row)] for f, row in zip(free, kept)]


def _proxies(
    data: Split, names: tuple[str, ...], held: tuple[str, ...], used: set[int]
) -> list[tuple[int, str, float]]:
    """Columns among the reasons that tell of a prohibited basis: column, basis, association."""
    bases = {name: (data.x[:, names.index(name)], bool(data.schema.feature(name).categories)) for name in held}
    groups = {g: np.unique(v, return_inverse=True)[1] for g, v in data.groups.items()}
    bases |= {g: (code, True) for g, code in groups.items() if g not in bases}
    found = []
    for c in sorted(used):
        for name, (values, coded) in bases.items():
            much = between(data.x[:, c], bool(data.schema.features[c].categories), values, coded)
            if much >= TELLS:
                found.append((c, name, much))
    return found


def _words(data: Split, row: np.ndarray, column: int, people: np.ndarray) -> str:
    """A reason in the table's own words, with how it compares."""
    feature, value = data.schema.features[column], data.schema.show(list(row))[column]
    theirs = people[:, column]
    if feature.categories:
        return f"{feature.name} is {value} ({np.mean(theirs == row[column]):.0%} of them)"
    above, below = np.mean(theirs > row[column]), np.mean(theirs < row[column])
    if above >= below:
        return f"{feature.name} is {value}, lower than for {above:.0%} of them"
    return f"{feature.name} is {value}, higher than for {below:.0%} of them"
