"""How many copies of a row does it take until a model remembers it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._canaries import KINDS, Planting, exposure, exposure_by_chance, mean_of_others
from labkit.analyses._guard import Run
from labkit.analyses._memory import LONG, check_parts, some
from labkit.core import intervals
from labkit.core.clusters import clustered
from labkit.core.privacy import least_epsilon
from labkit.core.refused import Refused, unknown
from labkit.core.resampling import stream
from labkit.data.split import Dataset
from labkit.membership._signals import margin
from labkit.models.classifier import Classifier
from labkit.records.canaries import Canaries
from labkit.training.learners import learner as find_learner
from labkit.training.many import Fit, Many, fit_many
from labkit.training.private import PRIVATELY, Private, fit_private

ASKED = "canaries"
NAN = float("nan")


def canaries(
    data: Dataset,
    *,
    model: Classifier | None = None,
    learner: Any = "network",
    kinds: Sequence[str] = KINDS,
    repeats: Sequence[int] = (1, 2, 4, 8),
    count: int = 16,
    twins: int = 200,
    models: int = 32,
    rows: int = 2000,
    fpr: Sequence[float] = (0.01, 0.1),
    fit: Fit | None = None,
    private: Private | None = None,
    seed: int = 0,
    device: str = "auto",
    memory: int = 2**30,
    checkpoint: str | Path | None = None,
) -> Canaries:
    """Plant rows that belong to no data and see whether models that were trained on them can be told: by how far a canary
    comes before its never planted twins (exposure: Carlini et al., 2019, arXiv 1802.08232), and by how often an outsider
    who has models without it recognises it, at a stated rate of mistakes. By the number of copies, since what stands there
    twice is remembered more (Lee et al., 2022, arXiv 2107.06499).

    Many models are trained at once on some of the training rows, each with half of the canaries. Twins are made in the same
    way, never planted, and judged as if they had been: what they show is chance. The data given are not changed.

    With ``private`` the models are trained under differential privacy, as the control that must show nothing, and their
    promise is put to the test: right guesses about single canaries bound epsilon from below (Jagielski et al., 2020, arXiv
    2006.07709; Steinke et al., 2023, arXiv 2305.08846).

    Args:
        model: the audited model, for learner="own".
        kinds: "wrong label" (a true input under one of the other labels), "random input", "mixed input" (each entry from
            another row); the latter two under any label.
        repeats: numbers of copies. count: canaries of each kind and number.
        twins: rows of each kind that are never planted.
        rows: at most so many training rows beside the canaries, drawn by the seed.
        fpr: rates of mistakes at which recognition is stated.
        fit: how each learns; None takes 30 passes, or for private training 20 in larger batches and steps.
        private: the promise to train under; None trains plainly.
        checkpoint: a file; training that was interrupted goes on from it. Private training starts anew.

    Raises:
        Refused: no training data, one class, too few rows, unknown kinds, settings out of range.
    """
    check_parts(ASKED, data)
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    # the fewest copies first, which is what is said of them
    repeats, fpr = (tuple(np.unique(values).tolist()) for values in (repeats, fpr))
    _check(kinds, repeats, fpr, private)
    for name, value, least in (("models", models, 8), ("count", count, 2), ("twins", twins, 20)):
        _examples.count(ASKED, name, value, least, 100_000)
    rows = _examples.count(ASKED, "rows", rows, 30, 1_000_000)
    needed = count * len(repeats) + twins + 30
    if len(data.train) < needed:
        raise Refused(ASKED, f"{len(data.train)} training rows", f"at least {needed}, or smaller count= and twins=")
    planting = Planting.drawn(data.train, rows, kinds, repeats, (models, count, twins), private is not None, seed)
    fit = fit or (LONG if private is None else PRIVATELY)
    trained = find_learner(learner, planting.host, model)
    run = Run(ASKED, {}, seed, None, {"train": data.train.describe(), "test": data.test.describe()})
    run.options = {
        "learner": trained.about,
        "kinds": kinds,
        "repeats": repeats,
        "count": count,
        "twins": twins,
        "models": models,
        "rows": rows,
        "fpr": fpr,
        "fit": asdict(fit),
        "private": {} if private is None else asdict(private),
    }
    settings: dict[str, Any] = {"fit": fit, "seeds": range(seed, seed + models), "device": device, "memory": memory}
    settings["title"] = "models with planted rows"
    if private is None:
        many = fit_many(trained.make, *planting.training(), checkpoint=checkpoint, **settings)
        promise: dict[str, Any] = {"epsilon": NAN, "delta": NAN, "noise": NAN}
    else:
        spent = fit_private(trained.make, *planting.training(), private=private, **settings)
        many, promise = spent.many, {"epsilon": spent.epsilon, "delta": spent.delta, "noise": spent.noise}
    test = data.test[some(data.test, rows, stream(seed, ASKED, "test"))]
    accuracy = float((many.logits(test.x).argmax(2) == test.y).mean())
    low, high = intervals.wilson(accuracy * len(test), len(test))
    return Canaries(
        provenance=run.provenance(),
        learner=trained.name,
        about=trained.about,
        models=models,
        rows=len(planting.host),
        classes=len(data.classes),
        accuracy=(accuracy, float(low), float(high)),
        n_test=len(test),
        kinds=kinds,
        repeats=repeats,
        count=count,
        twins=twins,
        by_chance=exposure_by_chance(twins),
        bits=float(np.log2(twins + 1)),
        fpr=np.array(fpr),
        **promise,
        **_told(planting, many, np.array(fpr), promise["delta"]),
    )


def _check(kinds: tuple[str, ...], repeats: tuple[int, ...], fpr: tuple[float, ...], private: object) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("canaries of a kind", str(kind), KINDS)
    for r in repeats:
        _examples.count(ASKED, "repeats", r, 1, 1000)
    if not kinds or not repeats or not fpr or not 0 < fpr[0] <= fpr[-1] < 1:
        given = f"kinds={kinds}, repeats={repeats}, fpr={fpr}"
        raise Refused(ASKED, given, "at least one of each, and rates of mistakes between 0 and 1")
    if private is not None and not isinstance(private, Private):
        raise Refused(ASKED, f"private={private!r:.60}", "labkit.training.private.Private(epsilon=..., delta=...)")


def _told(planting: Planting, many: Many, fpr: np.ndarray, delta: float) -> dict[str, Any]:
    """What the models tell of canaries and twins."""
    models, kinds, times, count = planting.saw.shape
    planted = times * count
    flat_y = planting.y.ravel()
    logits = many.logits(planting.x.reshape(-1, *planting.x.shape[2:]))
    sure = margin(logits, flat_y).reshape(models, kinds, -1)
    answered = (logits.argmax(2) == flat_y).reshape(models, kinds, -1)[:, :, :planted].reshape(planting.saw.shape)
    own, twins = sure[:, :, :planted].reshape(planting.saw.shape), sure[:, :, planted:]
    bits = np.stack([exposure(own[:, k].reshape(models, -1), twins[:, k]) for k in range(kinds)], 1).reshape(own.shape)
    saw = planting.saw
    with_it, without = _average(bits, saw), _average(bits, ~saw)
    ends = np.array([[intervals.skewed_mean(each[~np.isnan(each)]) for each in line] for line in with_it])
    return {
        "exposure": np.nanmean(with_it, 2),
        "exposure_low": ends[..., 0],
        "exposure_high": np.minimum(ends[..., 1], np.log2(planting.as_if.shape[2] + 1)),
        "exposure_absent": np.nanmean(without, 2),
        **_shares("answered", answered, saw),
        "answered_absent": np.nanmean(_average(answered, ~saw), 2),
        **_recognised(planting, own, twins, fpr),
        **_guessed(planting, own, delta),
    }


def _average(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The mean over the models that count, of each canary; nan where none does."""
    total, models = (values * among).sum(0), among.sum(0)
    return np.divide(total, models, out=np.full(models.shape, NAN), where=models > 0)


def _shares(name: str, hit: np.ndarray, among: np.ndarray) -> dict[str, np.ndarray]:
    """(...) shares of (models, ..., canaries) trials among those that count, with intervals over canaries."""
    hits, trials = (hit & among).sum(0), among.sum(0)
    found = {f"{name}{end}": np.full(trials.shape[:-1], NAN) for end in ("", "_low", "_high")}
    for cell in np.ndindex(*trials.shape[:-1]):
        for end, value in zip(("", "_low", "_high"), clustered(hits[cell], trials[cell])):
            found[name + end][cell] = value
    return found


def _recognised(planting: Planting, own: np.ndarray, twins: np.ndarray, fpr: np.ndarray) -> dict[str, np.ndarray]:
    """By how much a model is surer of a row than the others without it are, in units of how much those differ (and of how
    much they do usually, since few tell little of it), against a line that every second twin sets."""
    usual = np.nanmedian(_others(twins, ~planting.as_if)[1], axis=(0, 2))

    def raised(values: np.ndarray, without: np.ndarray) -> np.ndarray:
        middle, spread = _others(values, without)
        return (values - middle) / (spread + usual.reshape(-1, *[1] * (values.ndim - 2)))

    above, above_twins = raised(own, ~planting.saw), raised(twins, ~planting.as_if)
    # (kinds, 1, rates): what of every second twin's values lies above it is a mistake at that rate
    line = np.stack(
        [
            np.nanquantile(np.where(planting.as_if, above_twins, np.nan)[:, k, ::2], 1 - fpr, method="higher")
            for k in range(twins.shape[1])
        ]
    )
    strangers = np.moveaxis(above_twins[:, :, 1::2, None] > line[:, None], 3, 2)
    known = np.moveaxis(above[..., None] > line[:, None, None], 4, 3)
    judged = np.broadcast_to(planting.as_if[:, :, None, 1::2], strangers.shape)
    planted = np.broadcast_to(planting.saw[:, :, :, None], known.shape)
    return _shares("mistaken", strangers, judged) | _shares("recognized", known, planted)


def _others(values: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each model the mean and the standard deviation of the other models' values, of those that count."""
    middle = mean_of_others(values, among)
    return middle, np.sqrt(np.maximum(mean_of_others(values**2, among) - middle**2, 0))


def _guessed(planting: Planting, own: np.ndarray, delta: float) -> dict[str, Any]:
    """Guesses whether single canaries are in a model, by what the other models say of them; and what they tell of epsilon.

    Coins that a model's guesses could not have seen make the bound hold; without them there is none."""
    if np.isnan(delta) or 1 not in planting.repeats:
        return {"guesses": 0, "right": 0, "least_epsilon": NAN}
    at = planting.repeats.index(1)
    sure, saw = own[:, :, at], planting.saw[:, :, at]
    middle = (mean_of_others(sure, saw) + mean_of_others(sure, ~saw)) / 2
    right = int(((sure > middle) == saw).sum())
    return {"guesses": saw.size, "right": right, "least_epsilon": least_epsilon(right, saw.size, delta, 0.995)}
