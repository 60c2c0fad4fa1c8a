"""Cases in which nothing is remembered, leaked, shifted, copied or worse than said: every accusation is a false alarm."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import labkit as lk
from benchmarks import _sound_data as sound
from labkit.data.split import Dataset
from labkit.training.many import Fit
from labkit.training.private import Private

SHORT = Fit(epochs=6, batch_size=64, rate=5e-3)
Draw = np.random.Generator


@dataclass(frozen=True)
class Twin:
    """One kind of sound case.

    Attributes:
        checks: that are asked. share: of the runs; those that train models are asked less often.
        why: what is sound about it.
    """

    name: str
    checks: tuple[str, ...]
    share: float
    why: str
    make: Callable[[int, Draw], Any]


def _answers(seed: int, draw: Draw) -> Any:
    return lk.calibration(sound.answers(draw, sound.size(draw)), by_class=True, seed=seed)


def _sets(seed: int, draw: Draw) -> Any:
    n, method = sound.size(draw, 150), str(draw.choice(["lac", "aps", "raps"]))
    return lk.conformal(sound.answers(draw, n), method=method, by="group", per_class=draw.random() < 0.2, seed=seed)


def _two_models(seed: int, draw: Draw) -> Any:
    n, classes = sound.size(draw), int(draw.choice([2, 3, 10]))
    shared = sound.answers(draw, n, classes)
    logits = np.log(np.maximum(shared.proba, 1e-9))
    both = [np.exp(logits + 0.5 * draw.normal(size=logits.shape)) for _ in "ab"]
    a, b = (sound.stated(shared.y, p.argmax(1), classes, p / p.sum(1, keepdims=True), shared.groups) for p in both)
    return lk.compare_models(a, b, by="group", seed=seed)


def _gap(seed: int, draw: Draw) -> Any:
    n, m, right = sound.size(draw), sound.size(draw), draw.uniform(0.6, 0.98)
    y, z = draw.integers(0, 2, n), draw.integers(0, 2, m)
    worse, columns = draw.uniform(0, 0.03), int(draw.integers(2, 9))
    return lk.generalization_gap(
        sound.stated(y, np.where(draw.random(n) < right, y, 1 - y), 2, x=draw.integers(0, 4, (n, columns))),
        sound.stated(z, np.where(draw.random(m) < right - worse, z, 1 - z), 2, x=draw.integers(0, 4, (m, columns))),
        seed=seed,
    )


def _best_of(seed: int, draw: Draw) -> Any:
    n, ahead = sound.size(draw, 200), draw.uniform(0.05, 0.15)
    y = draw.integers(0, 2, n)
    right = [0.75 + ahead] + [0.75] * int(draw.integers(1, 12))
    return lk.winners_curse([sound.stated(y, np.where(draw.random(n) < r, y, 1 - y), 2) for r in right], seed=seed)


def _rows(draw: Draw) -> Dataset:
    kind = draw.random()
    if kind < 0.2:
        return sound.real(draw, str(draw.choice(["digits", "movies", "german"])), 500, 200)
    n, m = sound.size(draw, 150, 1500), sound.size(draw, 60, 600)
    return sound.cut(sound.table(draw, n + m, draw.uniform(0.3, 2), int(draw.choice([2, 2, 3, 6]))), n)


def _parts(seed: int, draw: Draw) -> Any:
    return lk.leakage(_rows(draw), rows=400, seed=seed)


def _drawn_alike(seed: int, draw: Draw) -> Any:
    return lk.distribution_shift(_rows(draw), rows=400, seed=seed)


def _ambiguous(seed: int, draw: Draw) -> Any:
    rows = sound.table(draw, sound.size(draw, 300, 1200), draw.uniform(0.8, 4), int(draw.choice([2, 3, 5])))
    return lk.label_errors(rows, fit=SHORT, seed=seed)


def _columns(seed: int, draw: Draw) -> Any:
    data = sound.cut(sound.table(draw, 1100, draw.uniform(0.5, 2), columns=5), 600)
    return lk.shortcuts(sound.model(seed, data.train), data, exchanged=200, seed=seed)


def _procedure(seed: int, draw: Draw) -> Any:
    whole = sound.table(draw, sound.size(draw, 100, 500), columns=6)

    def nearest_mean(x: np.ndarray, y: np.ndarray) -> float:
        half = len(x) // 2
        means = np.stack([x[:half][y[:half] == c].mean(0) for c in (0, 1)])
        right = ((x[half:, None] - means) ** 2).sum(2).argmin(1) == y[half:]
        return float(np.mean([right[y[half:] == c].mean() for c in (0, 1)]))

    return lk.random_labels(whole, procedure=nearest_mean, chance=0.5, share=(), seed=seed)


def _drawn_anew(seed: int, draw: Draw) -> Any:
    whole = sound.table(draw, 900, columns=int(draw.integers(2, 9)))
    order = draw.permutation(900)
    data = Dataset("simulated", whole[order[:300]], whole[order[300:600]])
    return lk.data_copying(whole.x[order[600:]], data, pairs=1, seed=seed)


def _fresh_net(seed: int, draw: Draw) -> Any:
    rows = sound.table(draw, 200, columns=8)
    module = sound.net(seed, rows.x.shape[1], 2, int(draw.integers(16, 65)), int(draw.integers(1, 5)))
    return lk.gradient_flow(lk.wrap(module, classes=rows.classes, name="a fresh net"), rows, seed=seed)


def _strangers(seed: int, draw: Draw, n: int = 400) -> tuple[Any, Dataset]:
    """A model of other rows from the same source: it remembers none of these."""
    whole = sound.table(draw, 3 * n, draw.uniform(0.5, 2), columns=4)
    return sound.model(seed, whole[:n]), Dataset("simulated", whole[n : 2 * n], whole[2 * n :])


def _members(seed: int, draw: Draw) -> Any:
    model, data = _strangers(seed, draw)
    return lk.membership_inference(model, data, shadows=16, fit=SHORT, fpr=(0.05, 0.1), seed=seed)


def _columns_of_strangers(seed: int, draw: Draw) -> Any:
    return lk.attribute_inference(*_strangers(seed, draw, sound.size(draw, 150, 1500)), feature=0, seed=seed)


def _labels_of_strangers(seed: int, draw: Draw) -> Any:
    return lk.memorization(*_strangers(seed, draw), models=16, fit=SHORT, show=0, seed=seed)


def _unlearned(seed: int, draw: Draw) -> Any:
    data = sound.cut(sound.table(draw, 600, columns=4), 400)
    slow = Fit(epochs=1, rate=1e-6)
    return lk.canaries(data, repeats=(1,), count=16, twins=100, models=16, fit=slow, seed=seed)


def _private(seed: int, draw: Draw) -> Any:
    data = sound.cut(sound.table(draw, 600, columns=4), 400)
    promise = Private(epsilon=float(draw.uniform(1, 4)), delta=1e-4)
    return lk.canaries(data, repeats=(1,), count=16, twins=100, models=8, private=promise, seed=seed)


def _law(seed: int, draw: Draw) -> Any:
    whole = sound.table(draw, 5000, draw.uniform(1, 3), columns=6)
    return lk.learning_curve(sound.cut(whole, 2500), rows=2048, test_rows=2500, fit=SHORT, seed=seed)


TWINS = (
    Twin("calibrated answers", ("calibrated",), 1, "labels drawn with the stated probabilities", _answers),
    Twin("exchangeable rows", ("covers", "covers_every_group"), 1, "calibrated on one half, stated on the other", _sets),
    Twin("two models as good as each other", ("no_regression",), 0.5, "the same probabilities with other noise", _two_models),
    Twin("hardly worse in test", ("overfitting", "duplicate_rows", "looked_at_once"), 1, "by 0 to 0.03, where 0.05 is allowed; people of few categories, some of them alike", _gap),
    Twin("the best is far ahead", ("survives_selection",), 1, "by 0.05 to 0.15, of 2 to 12 candidates", _best_of),
    Twin("rows dealt at random", ("no_leakage",), 1, "tables of any kind; real pictures, texts and tables", _parts),
    Twin("parts drawn alike", ("same_distribution",), 0.5, "the same", _drawn_alike),
    Twin("a sound procedure", ("permuted_labels_at_chance",), 1, "class means, of the first half alone", _procedure),
    Twin("samples drawn anew", ("samples_are_new",), 1, "from what the rows are drawn from", _drawn_anew),
    Twin("fresh nets", ("gradients_flow",), 1, "one to four hidden layers as they are made", _fresh_net),
    Twin("other people's column", ("guessed_attributes",), 1, "the model learned other rows", _columns_of_strangers),
    Twin("columns that tell", ("no_shortcut",), 0.5, "the label follows from columns, and the model from these", _columns),
    Twin("hard labels, none wrong", ("labels_clean",), 0.2, "the label is drawn; however well one learns, many surprise", _ambiguous),
    Twin("other people's membership", ("recognized_members", "blind_guess"), 0.1, "the model learned other rows", _members),
    Twin("other people's labels", ("remembered_rows",), 0.3, "the model learned other rows", _labels_of_strangers),
    Twin("canaries not learned", ("canary_exposure",), 0.5, "models that have hardly learned anything", _unlearned),
    Twin("canaries under privacy", ("private_as_promised",), 0.03, "trained under a promise", _private),
    Twin("curves of tables", ("extrapolation_holds",), 0.01, "nets on up to 2048 rows of one table", _law),
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What one check said of one sound case, at worst; and its accusations in words."""

    check: str
    twin: str
    status: str
    says: tuple[str, ...]


def cases(runs: int, first: int, order: tuple[str, ...], workers: int = 2) -> Iterator[tuple[int, list[Told]]]:
    """The kinds in turn, each as often as its share says, so that whatever is stopped has seen all of them."""
    asked = [
        (run, twin)
        for run in range(runs)
        for twin in TWINS
        if int((run + 1) * twin.share) > int(run * twin.share) or (run == 0 and twin.share < 1)
    ]
    with ProcessPoolExecutor(workers, initializer=_quietly) as pool:
        told = pool.map(judged, [t for _, t in asked], [first + run for run, _ in asked], [order] * len(asked))
        yield from ((run, found) for (run, _), found in zip(asked, told, strict=True))


def _quietly() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def judged(twin: Twin, seed: int, order: tuple[str, ...]) -> list[Told]:
    """One sound case, and what its checks say."""
    record = twin.make(seed, np.random.default_rng(seed))
    found = lk.check(record, only=twin.checks)
    told = []
    for name in twin.checks:
        said = [f for f in found if f.check == name]
        status = min((f.status for f in said), key=order.index, default=order[-1])
        told.append(Told(name, twin.name, status, tuple(str(f) for f in said if f.status == "does_not_meet")))
    return told
