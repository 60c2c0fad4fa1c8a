"""Private training: gradients cut as Opacus cuts them, noise as stated, promises by the accountant, refusals by name."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.training.many import Fit
from labkit.training.many.row_gradients import _made, clipped
from labkit.training.private import Private, _noise, fit_private

pytest.importorskip("opacus")


class Words(nn.Module):
    """The mean of word vectors, and a dense layer without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(7, 4), nn.Linear(4, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.embed(x).mean(1))


def dense(seed: int = 0) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def convolution(seed: int = 0) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 2), nn.GroupNorm(1, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


CASES = {
    "dense": (dense, torch.randn(8, 6, generator=torch.Generator().manual_seed(0))),
    "words": (lambda seed: Words(), torch.randint(0, 7, (8, 5), generator=torch.Generator().manual_seed(0))),
    "convolution": (convolution, torch.randn(8, 1, 3, 3, generator=torch.Generator().manual_seed(0))),
}


@pytest.mark.parametrize("name", CASES)
def test_sums_of_cut_gradients_are_opacus_s(name: str) -> None:
    """Two models at once against Opacus's gradients of each row of each; half of the rows do not count in the second."""
    from opacus import GradSampleModule

    make, x = CASES[name]
    torch.manual_seed(0)
    nets = [make(0), make(0)]
    y = torch.randint(0, 3, (2, 8), generator=torch.Generator().manual_seed(1))
    real = torch.ones(2, 8)
    real[1, ::2] = 0
    weights = {k: torch.stack([n.get_parameter(k).detach() for n in nets]) for k, _ in nets[0].named_parameters()}
    found = clipped("a test", nets[0], x[:2])
    assert (found.summed is None) == (name == "convolution"), "norms are had without gradients where they can be"
    sums, norm, losses = found(weights, torch.stack([x, x]), y, real, 0.5)
    plain, plain_norm, _ = _made(nets[0])(weights, torch.stack([x, x]), y, real, 0.5)
    assert torch.allclose(norm, plain_norm, rtol=1e-4)
    for m, net in enumerate(nets):
        sampled = GradSampleModule(net, loss_reduction="sum")
        loss = nn.functional.cross_entropy(sampled(x), y[m], reduction="none")
        loss.sum().backward()
        rows = {k.removeprefix("_module."): p.grad_sample for k, p in sampled.named_parameters()}
        length = torch.stack([g.flatten(1).square().sum(1) for g in rows.values()]).sum(0).sqrt()
        assert torch.allclose(losses[m], loss.detach(), rtol=1e-5) and torch.allclose(norm[m], length, rtol=1e-4)
        cut = (0.5 / length).clamp_max(1) * real[m]
        for k, g in rows.items():
            expected = torch.einsum("b,b...->...", cut, g)
            assert torch.allclose(sums[k][m], expected, atol=1e-6) and torch.allclose(plain[k][m], expected, atol=1e-6)


def data(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 1)


def test_the_promise_is_the_accountants_and_costs_noise() -> None:
    from opacus.accountants import RDPAccountant

    x, y = data()
    fit = Fit(epochs=1, batch_size=40, rate=1e-2)
    loud, quiet = (fit_private(dense, x, y, private=Private(e, 1e-4), fit=fit) for e in (1.0, 2.0))
    for spent, asked in ((loud, 1.0), (quiet, 2.0)):
        accountant = RDPAccountant()
        accountant.history = [(spent.noise, spent.rate, spent.steps)]
        assert (
            spent.epsilon == pytest.approx(accountant.get_epsilon(delta=1e-4), rel=0.03)
            and 0.95 * asked < spent.epsilon <= asked
        )
        assert (spent.rate, spent.steps) == (0.2, 5)
    assert loud.noise > quiet.noise and 0 < quiet.clipped <= 1


def test_steps_are_noise_of_the_stated_size_about_the_gradient() -> None:
    """Rows that are all drawn, and SGD: the first step's weights less the rate times (clipped sum + noise) / batch."""
    x, y = data(40)
    fit = Fit(epochs=1, batch_size=40, rate=0.1, optimizer="sgd")
    torch.manual_seed(0)
    one = dense()
    many = np.ones((300, 40), bool)
    spent = fit_private(lambda seed: copy.deepcopy(one), x, y, many, private=Private(3.0, 1e-3, clip=0.3), fit=fit)
    assert (spent.rate, spent.steps) == (1.0, 1)
    start, *moved = (nn.utils.parameters_to_vector(m.parameters()) for m in (one, *map(spent.many.module, range(300))))
    step = (start - torch.stack(moved)).detach() / 0.1 * 40
    assert float(step.std(0).mean()) == pytest.approx(spent.noise * 0.3, rel=0.03)
    assert float(step.std(1).std()) < float(step.std(1).mean()), "every model has draws of its own"
    summed = clipped("a test", one, torch.tensor(x[:2]))(
        {k: v.detach()[None] for k, v in one.named_parameters()},
        torch.tensor(x)[None],
        torch.tensor(y)[None],
        torch.ones(1, 40),
        0.3,
    )[0]
    expected = torch.cat([v.flatten() for v in summed.values()])
    assert float((step.mean(0) - expected).abs().max()) < 5 * spent.noise * 0.3 / 300**0.5


def test_a_model_is_the_same_whoever_trains_beside_it() -> None:
    x, y = data()
    chosen = np.random.default_rng(1).random((3, 200)) < 0.8
    options = {"private": Private(2.0, 1e-4), "fit": Fit(epochs=1, batch_size=40, rate=1e-2)}
    # the chance of a row is the batch over the rows of the largest model, so that it stands beside both
    chosen[0, :100] = chosen[0, 100:] = True
    together = fit_private(dense, x, y, chosen, seeds=[4, 5, 6], **options)
    parts = fit_private(dense, x, y, chosen, seeds=[4, 5, 6], memory=1, **options)
    alone = fit_private(dense, x, y, chosen[[0, 2]], seeds=[4, 6], **options)
    logits = together.many.logits(x)
    assert np.allclose(logits, parts.many.logits(x), atol=1e-4)
    assert np.allclose(logits[[0, 2]], alone.many.logits(x), atol=1e-4)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


def test_rows_that_a_model_does_not_see_change_nothing() -> None:
    x, y = data()
    chosen = np.arange(200)[None] < 150
    options = {"private": Private(2.0, 1e-4), "fit": Fit(epochs=1, batch_size=30, rate=1e-2)}
    other = np.where(chosen[0][:, None], x, 100.0).astype(np.float32)
    first, second = (fit_private(dense, v, y, chosen, **options).many.logits(x) for v in (x, other))
    assert np.array_equal(first, second)


def test_what_cannot_be_kept_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data(40)
    for make, words in (
        (lambda seed: nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)), "GroupNorm"),
        (lambda seed: nn.Sequential(nn.LSTM(6, 3)), "GroupNorm"),
    ):
        with pytest.raises(lk.Refused, match=words):
            fit_private(make, x, y, private=Private(1.0))
    for promise in (
        {"epsilon": 0.0},
        {"epsilon": 1.0, "delta": 0.0},
        {"epsilon": float("nan")},
        {"epsilon": 1, "clip": 0},
    ):
        with pytest.raises(lk.Refused, match="epsilon above 0"):
            Private(**promise)
    with pytest.raises(lk.Refused, match="a larger epsilon"):
        fit_private(dense, x, y, private=Private(1e-9, 1e-9), fit=Fit(epochs=50, batch_size=40))
    with pytest.raises(lk.Refused, match="no rows for model 0"):
        fit_private(dense, x, y, np.zeros((2, 40), bool), private=Private(1.0))
    with pytest.raises(lk.Refused, match="modules of 3 outputs"):
        fit_private(dense, x, y + 3, private=Private(1.0))
    with pytest.raises(lk.Refused, match="2 seeds for 1 models"):
        fit_private(dense, x, y, seeds=[1, 2], private=Private(1.0))
    _noise.cache_clear()
    monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    with pytest.raises(lk.Refused, match=r"labkit\[private\]"):
        fit_private(dense, x, y, private=Private(1.0))
