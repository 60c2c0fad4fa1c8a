"""Many models at once: each is the one that it would be alone, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.core import progress
from labkit.models.architectures.tabular_mlp import tabular_mlp
from labkit.training.learners import learner
from labkit.training.loop import epoch_seed
from labkit.training.many import fit_many, parts
from labkit.training.many.fitting import Fit
from labkit.training.many.room import models_at_once
from labkit.training.many.stacked import Dropout, Stacked, stacked
from labkit.training.members import Members

Make = Callable[[int], nn.Module]
FIT = Fit(epochs=3, batch_size=16, rate=3e-3, weight_decay=0.01, schedule="cosine")


class Words(nn.Module):
    """The mean of word vectors, then a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(30, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(x).mean(1))


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRU(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


def dense(_: int = 0) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8, bias=False), nn.Tanh(), nn.Linear(8, 3))


def conv(_: int = 0) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3))


def normed(_: int = 0) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def table(_: int = 0) -> nn.Module:
    edges = [[-1.0, 0.0, 0.5, 2.0], [], [0.0, 1.0], [], [-0.5, 0.1, 0.3]]
    return tabular_mlp(classes=3, edges=edges, sizes=[0, 3, 0, 4, 0], width=4, hidden=(16, 8), dropout=0.0)


def listed(sizes: list[int], edges: list[list[float]]) -> nn.Module:
    return tabular_mlp(classes=2, edges=edges, sizes=sizes, width=3, hidden=(4,), dropout=0.1)


def columns(generator: np.random.Generator, n: int) -> np.ndarray:
    numbers = generator.normal(size=(n, 3))
    return np.stack(
        [numbers[:, 0], generator.integers(0, 3, n), numbers[:, 1], generator.integers(0, 4, n), numbers[:, 2]], 1
    ).astype(np.float32)


def data(shape: str, n: int = 90, seed: int = 0, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of a kind and labels of three classes that follow from them, with noise."""
    generator = np.random.default_rng(seed)
    x: np.ndarray
    match shape:
        case "words":
            x = generator.integers(0, 30, (n, 7))
        case "picture":
            x = generator.normal(size=(n, 1, 6, 6)).astype(np.float32)
        case "series":
            x = generator.normal(size=(n, 5, 4)).astype(np.float32)
        case "table":
            x = columns(generator, n)
        case _:
            x = generator.normal(size=(n, 6)).astype(np.float32)
    score = x.reshape(n, -1).astype(float) @ generator.normal(size=(x[0].size, 3))
    return x, (score / score.std() + noise * generator.normal(size=(n, 3))).argmax(1)


KINDS: dict[str, tuple[Make, str]] = {
    "dense": (dense, "numbers"),
    "words": (lambda seed: Words(), "words"),
    "conv": (conv, "picture"),
    "normed": (normed, "numbers"),
    "table": (table, "table"),
    "reader": (lambda seed: Reader(), "series"),
}


def subsets(n: int, sizes: tuple[int, ...]) -> np.ndarray:
    generator = np.random.default_rng(1)
    chosen = np.zeros((len(sizes), n), bool)
    for row, size in zip(chosen, sizes):
        row[generator.permutation(n)[:size]] = True
    return chosen


def by_hand(make: Make, x: np.ndarray, y: np.ndarray, rows: np.ndarray, seed: int, fit: Fit) -> nn.Module:
    """The usual loop of one module and torch's own optimizer."""
    torch.manual_seed(seed)
    module = make(seed).train()
    wide = [p for p in module.parameters() if p.ndim > 1]
    plain = [p for p in module.parameters() if p.ndim <= 1]
    groups = [{"params": wide, "weight_decay": fit.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=fit.rate)
    steps = -(-len(rows) // fit.batch_size)
    for epoch in range(fit.epochs):
        mixed = torch.randperm(len(rows), generator=torch.Generator().manual_seed(epoch_seed(seed, epoch)))
        for i, batch in enumerate(np.array_split(rows[mixed], steps)):
            for group in adam.param_groups:
                group["lr"] = fit.rate * 0.5 * (1 + np.cos(np.pi * (epoch * steps + i) / (fit.epochs * steps)))
            adam.zero_grad()
            nn.functional.cross_entropy(module(torch.tensor(x[batch])), torch.tensor(y[batch])).backward()
            adam.step()
    return module.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_the_one_trained_alone_by_the_usual_loop(kind: str) -> None:
    make, shape = KINDS[kind]
    x, y = data(shape)
    chosen = subsets(len(x), (40, 50, 40, 40, 23))
    seeds = [5, 1, 9, 2, 7]
    many = fit_many(make, x, y, chosen, fit=FIT, seeds=seeds)
    logits = many.logits(x)
    assert logits.shape == (5, 90, 3) and logits.dtype == np.float32
    for i, seed in enumerate(seeds):
        alone = by_hand(make, x, y, np.flatnonzero(chosen[i]), seed, FIT)
        with torch.no_grad():
            expected = alone(torch.tensor(x)).numpy()
            again = many.module(i)(torch.tensor(x)).numpy()
        np.testing.assert_allclose(logits[i], expected, atol=2e-4)
        np.testing.assert_allclose(again, logits[i], atol=1e-5)
    assert many.together == (kind != "reader")
    one = fit_many(make, x, y, chosen[2:3], fit=FIT, seeds=seeds[2:3])
    np.testing.assert_allclose(one.logits(x)[0], logits[2], atol=2e-4)


def test_labels_of_its_own() -> None:
    x, y = data("numbers")
    other = np.random.default_rng(3).integers(0, 3, len(y))
    chosen = subsets(len(x), (60, 60))
    both = fit_many(dense, x, np.stack([y, other]), chosen, fit=FIT)
    for i, labels in enumerate((y, other)):
        expected = by_hand(dense, x, labels, np.flatnonzero(chosen[i]), i, FIT)(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(both.logits(x)[i], expected, atol=2e-4)


def test_the_rows_not_chosen_change_nothing() -> None:
    x, y = data("numbers")
    chosen = subsets(len(x), (40, 40))
    changed = x.copy()
    changed[~chosen.any(0)] = 99.0
    first, second = (fit_many(dense, v, y, chosen, fit=FIT).logits(x) for v in (x, changed))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_memory_decides_the_parts_and_nothing_else(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = KINDS[kind]
    x, y = data(shape)
    chosen = subsets(len(x), (40,) * 5)
    whole = fit_many(make, x, y, chosen, fit=FIT)
    trained: list[int] = []
    train = parts.Task._train

    def counted(self: parts.Task, part: list[int], *others: object) -> None:
        trained.append(len(part))
        train(self, part, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(parts.Task, "_train", counted)
    room = next(
        m for m in range(2**12, 2**24, 2**10) if models_at_once(make(0), torch.tensor(x), 16, m, learning=True) > 1
    )
    cut = fit_many(make, x, y, chosen, fit=FIT, memory=room)
    assert trained == [4, 1]
    np.testing.assert_allclose(cut.logits(x), whole.logits(x), atol=2e-4)
    assert (cut.costs.forwards, cut.costs.backwards) == (whole.costs.forwards, whole.costs.backwards) == (600, 600)


def test_out_of_memory_halves_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data("numbers")
    chosen = subsets(len(x), (40,) * 5)
    whole = fit_many(dense, x, y, chosen, fit=FIT)
    train = parts.Task._train

    def short(self: parts.Task, part: list[int], *others: object) -> None:
        if len(part) > 2:
            raise torch.OutOfMemoryError("no room")
        train(self, part, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(parts.Task, "_train", short)
    np.testing.assert_allclose(fit_many(dense, x, y, chosen, fit=FIT).logits(x), whole.logits(x), atol=2e-4)
    monkeypatch.setattr(parts.Task, "_train", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(lk.Refused, match="does not fit into memory"):
        fit_many(dense, x, y, chosen, fit=FIT)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kind", ["table", "conv", "normed"])
@pytest.mark.parametrize("after", [4, 9, 13])
def test_an_interrupted_run_ends_the_same(kind: str, after: int, tmp_path: Path) -> None:
    make, shape = KINDS[kind]
    x, y = data(shape)
    chosen = subsets(len(x), (40, 40, 30))
    path = tmp_path / "run.safetensors"
    watch = (x[:20], y[:20])
    whole = fit_many(make, x, y, chosen, fit=FIT, watch=watch)
    steps = []

    def heard(what: str, done: int, total: int) -> None:
        steps.append((done, total))
        if len(steps) == after:
            raise Killed

    with pytest.raises(Killed), progress.listening(heard):
        fit_many(make, x, y, chosen, fit=FIT, watch=watch, checkpoint=path)
    assert path.is_file() == (after > 2)
    with progress.listening(lambda _, done, total: steps.append((done, total))):
        again = fit_many(make, x, y, chosen, fit=FIT, watch=watch, checkpoint=path)
    assert steps[after][0] > 1 and steps[-1][0] == steps[-1][1] == 3 * (3 + 3 + 2)
    np.testing.assert_array_equal(again.logits(x), whole.logits(x))
    for name, values in whole.curves.items():
        np.testing.assert_array_equal(again.curves[name], values)
    heard_since = len(steps)
    with progress.listening(lambda *_: steps.append((0, 0))):
        kept = fit_many(make, x, y, chosen, fit=FIT, watch=watch, checkpoint=path)
    assert len(steps) == heard_since  # nothing is trained twice
    np.testing.assert_array_equal(kept.logits(x), whole.logits(x))
    for other in ({"fit": Fit(epochs=4)}, {"seeds": [3, 4, 5]}):
        with pytest.raises(lk.Refused, match="go on from the checkpoint"):
            fit_many(make, x, y, chosen, **{"fit": FIT, "watch": watch, "checkpoint": path, **other})


def test_curves_are_of_the_rows_that_each_model_saw() -> None:
    x, y = data("numbers", 120)
    chosen = subsets(120, (60, 30))
    watch = data("numbers", 50, 8)
    many = fit_many(dense, x, y, chosen, fit=Fit(epochs=4), watch=watch)
    assert {k: v.shape for k, v in many.curves.items()} == dict.fromkeys(parts.CURVES, (2, 4))
    for i, logits in enumerate(many.logits(x)):
        own = logits[chosen[i]]
        loss = nn.functional.cross_entropy(torch.tensor(own), torch.tensor(y[chosen[i]]))
        assert many.curves["train_accuracy"][i, -1] == pytest.approx((own.argmax(1) == y[chosen[i]]).mean())
        assert many.curves["train_loss"][i, -1] == pytest.approx(float(loss), abs=1e-5)
    right = (many.logits(watch[0]).argmax(2) == watch[1]).mean(1)
    np.testing.assert_allclose(many.curves["watch_accuracy"][:, -1], right)
    assert not fit_many(dense, x, y, chosen, fit=Fit(epochs=1)).curves


def test_it_learns() -> None:
    x, y = data("table", 200, noise=0)
    chosen = np.ones((2, 200), bool)
    chosen[1, 100:] = False
    many = fit_many(table, x, y, chosen, fit=Fit(epochs=40, rate=1e-2))
    right = many.logits(x).argmax(2) == y
    assert right[:, :100].mean() > 0.8
    assert right[1, :100].mean() > right[1, 100:].mean()


def test_dense_layers_are_one_stack_and_the_rest_is_not() -> None:
    assert all(isinstance(stacked([make(0), make(1)]), Stacked) for make in (dense, table))
    assert all(stacked([make(0), make(1)]) is None for make in (conv, normed, lambda _: Words(), lambda _: Reader()))
    frozen = dense()
    frozen[0].weight.requires_grad_(False)
    assert stacked([frozen, frozen]) is None
    hooked = dense()
    hooked[1].register_forward_hook(lambda *_: None)
    assert stacked([hooked, hooked]) is None


@pytest.mark.parametrize(("sizes", "edges"), [([3, 4], [[], []]), ([0, 0], [[0, 1], [0, 0.2, 1]]), ([0, 3], [[1], []])])
def test_tables_of_one_kind_of_column(sizes: list[int], edges: list[list[float]]) -> None:
    x = np.random.default_rng(0).integers(0, 3, (40, 2)).astype(np.float32)
    many = fit_many(lambda _: listed(sizes, edges), x, x[:, 0].astype(int) % 2, np.ones((2, 40), bool), fit=FIT)
    assert stacked([many.module(0), many.module(1)]) is not None
    np.testing.assert_allclose(many.module(1)(torch.tensor(x)).detach(), many.logits(x)[1], atol=1e-5)


def test_a_stack_answers_as_its_modules_and_gives_them_back() -> None:
    x = torch.tensor(columns(np.random.default_rng(0), 50) * 3)
    x[:, [1, 3]] = torch.tensor(columns(np.random.default_rng(0), 50))[:, [1, 3]]
    modules = [table() for _ in range(3)]
    found = stacked(modules)
    assert found is not None
    logits = found(*(v.expand(3, *v.shape) for v in found.front(x)))
    for i, module in enumerate(modules):
        torch.testing.assert_close(logits[i], module(x), atol=1e-5, rtol=1e-4)
        state = found.state(i)
        assert list(state) == list(module.state_dict())
        for name, value in module.state_dict().items():
            assert torch.equal(state[name], value)


def test_what_is_frozen_stays() -> None:
    def make(seed: int) -> nn.Module:
        module = dense()
        module[0].weight.requires_grad_(False)
        return module

    x, y = data("numbers")
    many = fit_many(make, x, y, subsets(len(x), (40, 40)), fit=FIT)
    for i in range(2):
        torch.manual_seed(i)
        assert torch.equal(many.module(i)[0].weight, make(i)[0].weight)  # type: ignore[index]
    assert all(p.requires_grad for p in Members([dense(), dense()]).parameters())


@pytest.mark.parametrize("share", [0.3, 0.25])
def test_dropout_leaves_each_value_out_by_itself(share: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(40, 50, 101, requires_grad=True)
    drop = Dropout(share)
    out = drop(x)
    out.sum().backward()
    assert set(out.detach().unique().tolist()) == {0.0, float(np.float32(1 / (1 - share)))}
    assert torch.equal(x.grad, out.detach())
    left = (out.detach() == 0).float()
    n = left.numel()
    assert abs(float(left.mean()) - share) < 4 * (share * (1 - share) / n) ** 0.5
    for axis in range(3):  # the spread of means over an axis is that of independent draws
        others = n / left.shape[axis]
        spread = left.mean([a for a in range(3) if a != axis]).var()
        assert 0.4 < float(spread) * others / (share * (1 - share)) < 1.9
    assert torch.equal(drop.eval()(x), x)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a | {"y": a["y"][:-1]}, "labels of shape"),
        (lambda a: a | {"x": a["x"][:-1]}, "inputs"),
        (lambda a: a | {"chosen": a["chosen"].astype(int)}, "booleans of shape"),
        (lambda a: a | {"chosen": a["chosen"] & False}, "no rows for model 0"),
        (lambda a: a | {"seeds": [1]}, "1 seeds for 2 models"),
        (lambda a: a | {"y": a["y"] + 1}, "the label 3 for modules of 3 outputs"),
        (lambda a: a | {"y": a["y"] - 1}, "whole numbers from 0"),
        (lambda a: a | {"y": a["y"] * 1.0}, "labels of type float64"),
        (lambda a: a | {"watch": (a["x"], a["y"][:5])}, "90 inputs and 5 labels to watch"),
        (lambda a: a | {"make": lambda seed: "net"}, "a str for a model"),
        (lambda a: a | {"make": lambda seed: nn.Linear(9, 3)}, "fails on inputs of shape"),
        (lambda a: a | {"x": a["x"].astype(str)}, "inputs of type <U"),
        (lambda a: a | {"make": lambda seed: nn.Flatten(0)}, "no \\(n, classes\\) logits"),
        (lambda a: a | {"x": np.where(np.arange(90)[:, None] == 3, np.nan, a["x"])}, "loss of model [01] .*not finite"),
    ],
)
def test_what_is_refused(change: Callable[[dict], dict], says: str) -> None:
    x, y = data("numbers")
    asked = {"make": dense, "x": x, "y": y, "chosen": np.ones((2, 90), bool), "fit": FIT}
    with pytest.raises(lk.Refused, match=says):
        fit_many(**change(asked))


def test_inputs_may_be_a_view_that_runs_backwards() -> None:
    x, y = data("numbers")
    chosen = np.ones((2, len(x)), bool)
    backwards, copied = (fit_many(dense, v, y, chosen, fit=FIT).logits(v) for v in (x[::-1], x[::-1].copy()))
    assert np.array_equal(backwards, copied)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"rate": -1.0}, {"optimizer": "adam"}, {"schedule": "step"}])
def test_a_fit_that_is_none_is_refused(wrong: dict) -> None:
    with pytest.raises(lk.Refused, match="how models are to learn"):
        Fit(**wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_trains_what_the_cpu_does(kind: str) -> None:
    make, shape = KINDS[kind]
    x, y = data(shape)
    chosen = subsets(len(x), (40, 50, 40))
    cpu, cuda = (fit_many(make, x, y, chosen, fit=FIT, device=d).logits(x) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(cuda, cpu, atol=5e-3)


@pytest.mark.parametrize("name", ["adult", "digits", "movies", "italy_power", "emoji"])
def test_the_small_network_learns_every_kind_of_data(name: str) -> None:
    split = lk.data.load(name).train
    split = split[np.random.default_rng(0).permutation(len(split))[:200]]
    given = learner("network", split)
    many = fit_many(
        given.make, split.x, split.y, np.ones((2, len(split)), bool), fit=Fit(epochs=15, batch_size=32, rate=5e-3)
    )
    assert many.together
    right = (many.logits(split.x).argmax(2) == split.y).mean(1)
    assert (right > np.bincount(split.y).max() / len(split) + 0.1).all(), (given.about, right)


def test_own_is_the_architecture_with_fresh_weights(mlp: lk.Classifier, digits: lk.data.Dataset) -> None:
    own = learner("own", digits.train, mlp)
    before = mlp.digest
    torch.manual_seed(1)
    first = own.make(1)
    torch.manual_seed(1)
    same = own.make(1)
    other = own.make(2)
    x = torch.tensor(digits.test.x[:20])
    assert torch.equal(first(x), same(x)) and not torch.equal(first(x), other(x))
    assert not torch.allclose(first(x), mlp(x), atol=0.5) and mlp.digest == before
    assert first.training and all(p.requires_grad for p in first.parameters())
    assert learner(mlp.module, digits.train).name == "own" and "fresh" in own.about
    assert learner(dense, digits.train).make is dense


def test_own_reads_probabilities_as_the_model_does(digits: lk.data.Dataset) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))
    model = lk.wrap(module, classes=digits.classes, outputs="probabilities", name="soft")
    made = learner("own", digits.train, model).make(0)
    x = torch.tensor(digits.test.x[:5])
    torch.testing.assert_close(made(x).exp().sum(1), torch.ones(5))
    many = fit_many(
        learner("own", digits.train, model).make, digits.train.x[:64], digits.train.y[:64], np.ones((2, 64), bool)
    )
    assert many.together and np.isfinite(many.logits(digits.test.x[:5])).all()


def test_learners_that_cannot_be_are_refused(mlp: lk.Classifier, digits: lk.data.Dataset) -> None:
    for given, model, says in (
        ("forest", None, "one of: network, own"),
        ("own", None, "no model"),
        (nn.Flatten(), None, "without parameters"),
        (nn.Linear(2000, 2000), None, "4,002,000 weights"),
    ):
        with pytest.raises(lk.Refused, match=says):
            learner(given, digits.train, model)
    with pytest.raises(lk.Refused, match="10 classes"):
        learner("own", lk.data.load("adult").train, mlp)


def test_the_time_left_is_told_from_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    left = progress.Left()
    assert left("a", 10, 100) == "" and left("a", 11, 100) == ""
    now[0] += 30
    assert left("a", 40, 100) == "about 60 s left"
    assert left("b", 5, 1000) == ""  # other work
    now[0] += 60
    assert left("b", 15, 1000) == "about 98 min left"
    assert left("b", 25, 10_000) == "about 8.3 h left"
    assert left("b", 2, 1000) == ""  # the same work from the start again
    with progress.listening(lambda what, done, total: now.append(done / total)):
        fit_many(dense, *data("numbers"), np.ones((2, 90), bool), fit=FIT)
    assert now[1:] == sorted(now[1:]) and now[-1] == 1.0
