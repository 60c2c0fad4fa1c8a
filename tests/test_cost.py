"""What work costs: passes are counted one by one, operations as by hand, and the count leaves evidence alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.core import store
from labkit.core.cost import DONE, Meter, energy
from labkit.models.work import flops
from labkit.training.members import Members


def _recurrent(kind):
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = kind(5, 7, batch_first=True), nn.Linear(7, 2)

        def forward(self, x):
            return self.head(self.inner(x)[0][:, -1])

    return Reads()


class TestOperations:
    """Against the arithmetic of each layer, two for a multiplication with its addition."""

    @pytest.mark.parametrize("kind, gates", [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
    def test_recurrent(self, kind, gates):
        assert flops(_recurrent(kind), torch.zeros(3, 11, 5)) == 11 * 2 * gates * 7 * (5 + 7) + 2 * 7 * 2

    def test_convolution(self):
        net = nn.Sequential(nn.Conv2d(2, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 4))
        assert flops(net, torch.zeros(1, 2, 8, 8)) == 2 * (2 * 25 * 3 * 16) + 2 * 48 * 4

    def test_attention(self):
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        assert flops(layer, torch.zeros(3, 5, 8)) == 2 * 5 * (8 * 24 + 8 * 8 + 2 * 8 * 16) + 2 * 2 * 5 * 5 * 8

    def test_what_shows_none_is_not_zero(self):
        assert flops(nn.Sequential(nn.Flatten(), nn.ReLU()), torch.zeros(2, 3)) is None

    def test_counting_leaves_hooks_modes_and_draws_alone(self):
        net, seen = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)), []
        net[0].register_forward_hook(lambda *_: seen.append(1))
        torch.manual_seed(1)
        before = torch.get_rng_state()
        assert flops(net.train(), torch.zeros(4, 3)) == 12 and not seen and net.training
        assert torch.equal(before, torch.get_rng_state())
        assert torch.backends.mha.get_fastpath_enabled() and torch._C._get_mkldnn_enabled()


class TestPasses:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return lk.wrap(nn.Linear(4, 3), classes=["a", "b", "c"])

    def test_forward_and_back(self, model):
        meter, x = Meter(), torch.rand(5, 4, requires_grad=True)
        model(x)
        torch.autograd.grad(model(x)[:, 0].sum(), x)
        took = meter.cost()
        assert (took["forwards"], took["backwards"]) == (10, 5) and took["flops"] == (10 + 2 * 5) * 24

    def test_stacked_models(self):
        net, meter = Members([nn.Linear(4, 3), nn.Linear(4, 3)]), Meter()
        net(torch.rand(2, 5, 4)).sum().backward()
        took = meter.cost()
        assert (took["forwards"], took["backwards"], took["flops"]) == (10, 10, 30 * 24)

    @pytest.mark.parametrize("folded", [False, True])
    def test_many_models_trained_at_once(self, folded):
        """Dense layers have products of their own, a convolution goes through vmap: the run tells what is counted, but for
        a few examples that try out whether torch can vectorise."""
        from labkit.training.many import Fit, fit_many

        def make(_):
            return (
                nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 4), nn.Flatten()) if folded else nn.Linear(4, 3)
            )

        x, y = np.random.default_rng(0).random((12, 4), np.float32), np.arange(12) % 3
        meter = Meter()
        many = fit_many(make, x, y, np.ones((3, 12), bool), fit=Fit(epochs=2, batch_size=5))
        took = meter.cost()
        assert many.costs.backwards == 3 * 12 * 2 and 0 <= took["backwards"] - many.costs.backwards <= 8 * folded
        assert took["flops"] == (took["forwards"] + 2 * took["backwards"]) * 24 and took["uncounted"] == 0

    def test_a_mode_that_follows_every_function_sees_no_counting(self, model):
        """As the tracing of certificates does: it has to see the model's own functions and nothing else."""
        from torch.overrides import TorchFunctionMode

        class Sees(TorchFunctionMode):
            def __init__(self):
                super().__init__()
                self.names = []

            def __torch_function__(self, function, types, args=(), kwargs=None):
                self.names.append(getattr(function, "__name__", ""))
                return function(*args, **(kwargs or {}))

        with Sees() as seen, torch.no_grad():
            model(torch.rand(5, 4))
        assert "linear" in seen.names and "detach" not in seen.names and seen.names.count("linear") == 1

    def test_a_landscape_counts_points_and_second_derivatives(self):
        model, data = lk.zoo.load("german_mlp"), lk.data.load("german").train[:30]
        few, many = (
            lk.loss_landscape(model, data, rows=30, points=points, probes=4).provenance.took for points in (5, 9)
        )
        assert many["forwards"] - few["forwards"] >= (9**2 - 5**2) * 30 and many["backwards"] == few["backwards"] > 0

    def test_within_a_transform(self, model):
        gradient = torch.func.vmap(torch.func.grad(lambda x: model(x[None])[0, 0]))(torch.rand(6, 4))
        assert gradient.shape == (6, 4)

    def test_an_analysis_tells_what_it_took(self):
        model, data = lk.zoo.load("german_mlp"), lk.data.load("german").test[:7]
        before, each = DONE.forwards, flops(model.module, model.tensor(data.x))
        p = lk.predict(model, data)
        took = p.provenance.took
        assert took["forwards"] == DONE.forwards - before >= 7 and took["seconds"] == p.provenance.seconds
        assert took["flops"] == took["forwards"] * each and took["peak_memory"] > 1e6


def test_energy_is_time_at_a_stated_power():
    assert energy(3.0, threads=2)[0] == 60 and "no meter was read" in energy(3.0)[1]
    assert energy(2.0, board="NVIDIA H200")[0] == 1400 and "assumed" in energy(1.0, board="another")[1]


class TestRecord:
    @pytest.fixture(scope="class")
    def answers(self):
        return lk.predict(lk.zoo.load("german_mlp"), lk.data.load("german").test[:40])

    def test_cost_is_what_the_records_say(self, answers, tmp_path):
        gap = lk.calibration(answers)
        found = lk.cost(answers, gap, lk.zoo.curves("german_mlp"))
        assert found.forwards[0] == answers.provenance.took["forwards"] and found.forwards[1] == 0
        assert found.joules[2] == lk.zoo.curves("german_mlp").joules and "predict of german_mlp" in found.results
        assert "no meter was read" in lk.says(found) and len(lk.rows(found)) == 3
        lk.figure(found)
        store.save(found, tmp_path / "cost.lk")
        assert store.load(tmp_path / "cost.lk").digest == found.digest

    def test_it_is_no_part_of_the_evidence(self, answers):
        other = replace(answers, provenance=replace(answers.provenance, took={"forwards": 1}, seconds=9.0))
        assert other.digest == answers.digest

    def test_what_says_nothing_is_not_measured(self, answers):
        silent = replace(answers, provenance=replace(answers.provenance, took={}))
        assert lk.cost(silent).status == "not_measured"

    def test_refusals(self):
        for given in ((), ("a name",)):
            with pytest.raises(lk.Refused, match="records"):
                lk.cost(*given)
