"""Layer methods against Captum, closed forms and loops; layers that are listed, and refused where there is nothing to show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerConductance, LayerGradCam
from torch import Tensor, nn

import labkit as lk
from labkit import cli
from labkit.core.method import params
from labkit.models.architectures.log_mel_cnn import log_mel_cnn
from labkit.models.attention import Block
from labkit.models.layers import Line

CAMS = ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "score_cam")


class Residual(nn.Module):
    """Two convolutions beside a way around them; an in-place ReLU that runs twice; a head that is linear in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.branch = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = x + self.relu(self.branch(x))
        return self.head(nn.functional.avg_pool2d(x, 2).flatten(1))


@pytest.fixture(scope="module")
def residual() -> lk.Classifier:
    torch.manual_seed(3)
    return lk.wrap(Residual(), classes=["a", "b", "c"], bounds=(0, 1), name="residual")


@pytest.fixture(scope="module")
def linear_head(digits: lk.data.Dataset) -> lk.Classifier:
    """Everything after layer "1" is linear, and the layer keeps the image's size: maps come out as they are."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(384, 10))
    return lk.wrap(net, classes=digits.classes, bounds=(0, 1), name="linear_head")


@pytest.fixture(scope="module")
def series() -> tuple[lk.Classifier, np.ndarray]:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(2, 5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(5, 4, 3, padding=1),
        nn.Flatten(),
        nn.Linear(24, 2),
    )
    return lk.wrap(net, classes=["a", "b"], name="series"), torch.randn(5, 2, 12).numpy()


def explained(model: lk.Classifier, x: np.ndarray, name: str, **options: object) -> lk.Explanation:
    return lk.explain(model, x, name, evidence=(), **options)


def maps_and_slopes(model: lk.Classifier, x: np.ndarray, target: int) -> tuple[Tensor, Tensor]:
    """Output of layer "1" of a chain, and the gradient there, without any hook."""
    maps = model.module[:2](torch.tensor(x)).requires_grad_()
    (slope,) = torch.autograd.grad(model.module[2:](maps)[:, target].sum(), maps)
    return maps.detach(), slope


class TestMaps:
    def test_hires_cam_adds_up_to_the_score_less_its_bias(self, linear_head, digits):
        x = digits.test.x[:4]
        found = explained(linear_head, x, "hires_cam", layer="1", target=2).attribution
        logit = linear_head(torch.tensor(x))[:, 2] - linear_head.module[3].bias[2]
        np.testing.assert_allclose(found.sum((1, 2, 3)), logit.detach().numpy(), atol=1e-4)
        maps, slope = maps_and_slopes(linear_head, x, 2)
        np.testing.assert_allclose(found[:, 0], (maps * slope).sum(1).numpy(), atol=1e-5)

    def test_layer_cam_takes_supporting_gradients_only(self, linear_head, digits):
        x = digits.test.x[:4]
        maps, slope = maps_and_slopes(linear_head, x, 2)
        expected = (maps * slope.clamp_min(0)).sum(1)
        signed = explained(linear_head, x, "layer_cam", layer="1", target=2, positive=False).attribution
        np.testing.assert_allclose(signed[:, 0], expected.numpy(), atol=1e-5)
        shown = explained(linear_head, x, "layer_cam", layer="1", target=2).attribution
        np.testing.assert_allclose(shown[:, 0], expected.clamp_min(0).numpy(), atol=1e-5)
        assert (expected < 0).any(), "the two would be the same"

    def test_grad_cam_plus_plus_has_the_weights_of_exp_score(self, linear_head, digits):
        """Second and third derivatives of exp(score) by autograd, entry by entry, as the paper defines the weights."""
        x, target = digits.test.x[:1], 4
        maps = linear_head.module[:2](torch.tensor(x)).double().detach()
        head = linear_head.module[2:]
        weight, bias = head[1].weight[target].double(), head[1].bias[target].double()
        weights = torch.zeros(6, dtype=torch.float64)
        for channel in range(6):
            for place in range(64):
                entry = maps.flatten()[channel * 64 + place].clone().requires_grad_()
                rest = weight @ maps.flatten() + bias - weight[channel * 64 + place] * entry.detach()
                y = (rest + weight[channel * 64 + place] * entry).exp()
                (first,) = torch.autograd.grad(y, entry, create_graph=True)
                (second,) = torch.autograd.grad(first, entry, create_graph=True)
                (third,) = torch.autograd.grad(second, entry)
                share = second / (2 * second + maps[0, channel].sum() * third)
                weights[channel] += (share * first.clamp_min(0)).detach()
        expected = (weights[:, None, None] * maps[0]).sum(0)
        found = explained(linear_head, x, "grad_cam_plus_plus", layer="1", target=target, positive=False).attribution[
            0, 0
        ]
        scale = np.exp(float(linear_head(torch.tensor(x))[0, target]))  # left out, since it would overflow
        np.testing.assert_allclose(found * scale, expected.numpy(), rtol=1e-3, atol=1e-4)

    def test_score_cam_is_a_loop_over_channels(self, cnn, digits):
        x = torch.tensor(digits.test.x[:3])
        base, target = torch.full_like(x, 0.2), 3
        maps = cnn.module[:3](x)
        up = nn.functional.interpolate(maps, (8, 8), mode="bilinear", align_corners=False)
        rises = []
        for channel in range(16):
            mark = up[:, channel : channel + 1]
            low, high = mark.amin((1, 2, 3), keepdim=True), mark.amax((1, 2, 3), keepdim=True)
            mark = (mark - low) / (high - low)
            rises.append(cnn(mark * x + (1 - mark) * base)[:, target] - cnn(base)[:, target])
        weights = torch.stack(rises, 1).softmax(1)
        expected = (weights[:, :, None, None] * up).sum(1)
        found = explained(cnn, x.numpy(), "score_cam", target=target, baseline=0.2, positive=False, layer="2")
        np.testing.assert_allclose(found.attribution[:, 0], expected.detach().numpy(), atol=1e-5)

    @pytest.mark.parametrize("name", CAMS)
    def test_in_place_activations_and_batch_size_change_nothing(self, name, digits):
        def net(inplace: bool) -> lk.Classifier:
            torch.manual_seed(0)
            module = nn.Sequential(
                nn.Conv2d(1, 4, 3), nn.ReLU(inplace), nn.MaxPool2d(2), nn.ReLU(inplace), nn.Flatten(), nn.Linear(36, 10)
            )
            return lk.wrap(module, classes=digits.classes, bounds=(0, 1))

        x = digits.test.x[:3]
        first, second = (explained(net(inplace), x, name).attribution for inplace in (False, True))
        assert np.array_equal(first, second) and first.any()
        np.testing.assert_allclose(explained(net(True), x, name, batch_size=1).attribution, first, atol=1e-6)


class TestConductance:
    @pytest.mark.parametrize("layer", ["0", "1", "4"])
    def test_it_is_captums_and_adds_up_to_the_change(self, layer, cnn, digits):
        x = torch.tensor(digits.test.x[:3])
        base, target = torch.full_like(x, 0.3), cnn(x).argmax(1)
        record = explained(cnn, x.numpy(), "layer_conductance", layer=layer, baseline=0.3, tolerance=0.001)
        oracle = LayerConductance(cnn, cnn.module[int(layer)]).attribute(x, base, target=target, n_steps=600)
        total = oracle.double().flatten(1).sum(1).detach().numpy()
        np.testing.assert_allclose(record.facts["layer_total"], total, rtol=0.02, atol=0.02)
        np.testing.assert_allclose(record.facts["layer_total"], record.change, rtol=0.01, atol=0.01)
        np.testing.assert_allclose(record.attribution.sum((1, 2, 3)), record.facts["layer_total"], rtol=1e-4)
        if oracle.shape[2:] == x.shape[2:]:
            near = oracle.sum(1).detach().numpy()
            np.testing.assert_allclose(record.attribution[:, 0], near, atol=0.02 * np.abs(near).max())

    def test_a_branch_says_that_not_everything_flows_through_it(self, residual):
        x = np.random.default_rng(0).uniform(size=(3, 1, 8, 8)).astype(np.float32)
        totals = {}
        for layer in ("stem", "branch"):
            record = explained(residual, x, "layer_conductance", layer=layer, target=1)
            totals[layer] = record.facts["layer_total"] / record.change
        np.testing.assert_allclose(totals["stem"], 1, atol=0.02)
        assert (np.abs(totals["branch"] - 1) > 0.1).all()

    def test_rows_take_the_steps_that_they_need(self, residual):
        class Steep(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv2d(1, 1, 1)
                nn.init.ones_(self.conv.weight)
                nn.init.zeros_(self.conv.bias)

            def forward(self, x: Tensor) -> Tensor:
                v = self.conv(x).flatten(1)
                value = torch.tanh(60 * (v[:, 0] - 0.7)) + v[:, 1]
                return torch.stack([-value, value], 1)

        model = lk.wrap(Steep(), classes=["no", "yes"], bounds=(0, 1))
        x = np.full((2, 1, 1, 2), 0.5, np.float32)
        x[1, 0, 0, 0] = 1
        record = explained(model, x, "layer_conductance", target=1)
        assert record.facts["steps"][0] == 16 < record.facts["steps"][1]
        np.testing.assert_allclose(record.attribution[1, 0, 0], [2, 0.5], rtol=0.02)
        small = explained(model, x, "layer_conductance", target=1, batch_size=1)
        np.testing.assert_allclose(small.attribution, record.attribution, atol=1e-6)


class TestTime:
    def test_grad_cam_of_a_series_is_captums(self, series):
        model, x = series
        given = torch.tensor(x)
        target = model(given).argmax(1)
        for layer in ("0", "3"):
            oracle = LayerGradCam(model, model.module[int(layer)]).attribute(
                given, target=target, relu_attributions=True
            )
            oracle = nn.functional.interpolate(oracle, 12, mode="linear", align_corners=False)
            found = explained(model, x, "grad_cam", layer=layer)
            oracle = oracle[:, 0].detach().numpy()
            assert np.array_equal(found.withheld, ~oracle.any(1)), "a map without any support is withheld"
            np.testing.assert_allclose(np.nan_to_num(found.attribution).sum(1), oracle, atol=1e-5)
            both = found.attribution
            assert np.array_equal(both[:, 0], both[:, 1], equal_nan=True)

    @pytest.mark.parametrize("name", [*CAMS, "layer_conductance"])
    def test_every_method_shows_when(self, name, series):
        """Only steps 8 to 11 reach the answer, so nothing before step 6 can be marked."""
        model, x = series
        module = nn.Sequential(*model.module[:2], nn.Conv1d(5, 4, 1), nn.Flatten(), nn.Linear(48, 2))
        with torch.no_grad():
            module[4].weight.view(2, 4, 12)[:, :, :8] = 0
        late = lk.wrap(module, classes=["a", "b"])
        found = np.abs(
            explained(late, x, name, positive=False).attribution
            if name in CAMS
            else explained(late, x, name).attribution
        )
        if name in ("hires_cam", "layer_cam", "layer_conductance"):
            assert (found[:, :, :8] == 0).all()
        assert found[:, :, 8:].any()

    def test_sound_is_marked_where_it_was_heard(self):
        """A click in silence: the position that hears it is laid over its samples, pooling and floors included."""
        torch.manual_seed(0)
        deep = lk.wrap(log_mel_cnn(classes=2, widths=(4, 4, 4)), classes=["a", "b"], bounds=(-1, 1))
        lines = {layer.name: layer.lines for layer in deep.layers(torch.zeros(1, 8000)) if layer.fits}
        (mel,), (last,) = lines["log_mel"], lines["relu3"]
        assert (mel.first, mel.step, mel.count) == (127.5, 100, 78)
        # eight frames a position: the first is centred between frames 0 and 7
        assert (last.first, last.step, last.count) == (127.5 + 350, 800, 9)
        assert "loudest" not in lines and "head" not in lines
        net = log_mel_cnn(classes=2, widths=(4,))
        net.loudest = nn.AdaptiveAvgPool2d((20, 1))  # every position is heard
        model = lk.wrap(net, classes=["a", "b"], bounds=(-1, 1))
        x = np.zeros((2, 8000), np.float32)
        x[1, 5200:5260] = 1  # heard by frames 50 to 52, so by positions 24 to 26
        quiet, click = explained(model, x, "hires_cam", layer="relu1", target=0, baseline=0.01).attribution
        changed = np.flatnonzero(click != quiet)
        assert 4977 - 200 <= changed.min() < changed.max() <= 5378 + 200
        assert changed.mean() == pytest.approx(5230, abs=100)

    def test_sound_through_anything_but_a_plain_chain_is_refused(self):
        class Around(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = nn.Sequential(
                    nn.Unflatten(1, (1, 40)), nn.Conv1d(1, 3, 5, 2), nn.Flatten(), nn.Linear(54, 2)
                )

            def forward(self, x: Tensor) -> Tensor:
                return self.inner(x)

        x = np.random.default_rng(0).uniform(-1, 1, (2, 40)).astype(np.float32)
        with pytest.raises(lk.Refused, match="can be laid"):
            explained(lk.wrap(Around(), classes=["a", "b"]), x, "grad_cam")
        chain = lk.wrap(Around().inner, classes=["a", "b"])
        assert explained(chain, x, "grad_cam", positive=False).attribution.any()
        (line,) = next(layer for layer in chain.layers(torch.tensor(x)) if layer.name == "1").lines
        assert (line.first, line.step, line.count) == (2, 2, 18)


class TestLayers:
    def test_they_are_listed_as_they_run(self, residual):
        listed = {layer.name: layer for layer in residual.layers(torch.zeros(2, 1, 8, 8))}
        assert list(listed) == ["stem", "relu", "branch", "head"]
        assert listed["stem"].kind == "Conv2d" and listed["stem"].shape == (4, 8, 8)
        assert listed["relu"].runs == 2
        assert [name for name, layer in listed.items() if layer.fits] == ["stem", "branch"]

    def test_maps_from_tokens_to_tokens_are_no_pictures(self):
        model = lk.zoo.load("fashion_vit")
        fitting = [layer.name for layer in model.layers(torch.zeros(1, 1, 28, 28)) if layer.fits]
        assert "stem.embed" in fitting and not [name for name in fitting if name.startswith("blocks")]
        # 2 x 2 patches, whose maps of 4 x 4 would fit on 8 x 8 pixels
        net = nn.Sequential(nn.Conv2d(1, 4, 4, 4), nn.Flatten(2), Block(4, 2, 4, 0.0), nn.Flatten(), nn.Linear(16, 2))
        model = lk.wrap(net, classes=["a", "b"], bounds=(0, 1))
        assert [layer.name for layer in model.layers(torch.zeros(1, 1, 8, 8)) if layer.fits] == ["0"]

    @pytest.mark.parametrize("name", [*CAMS, "layer_conductance"])
    def test_what_cannot_be_shown_is_refused_by_name(self, name, residual, cnn, mlp, digits):
        x = digits.test.x[:2]
        for model, layer, match in (
            (residual, "relu", "runs 2 times"),
            (residual, "head", "without spatial extent"),
            (residual, "brunch", "'branch'"),
            (cnn, "6", "without spatial extent"),
            (mlp, "", "without a convolutional layer"),
        ):
            with pytest.raises(lk.Refused, match=match):
                explained(model, x, name, layer=layer)
        text = lk.zoo.load("movies_gru")
        with pytest.raises(lk.Refused, match="not continuous"):
            explained(text, np.full((1, 48), 5), name)

    def test_hooks_are_undone_when_the_model_fails(self, residual):
        with pytest.raises(RuntimeError):
            residual.layers(torch.zeros(1, 3, 8, 8))
        assert not [m for m in residual.module.modules() if m._forward_hooks]

    def test_the_tunable_says_where_its_choices_are(self):
        from labkit.core import registry

        for name in (*CAMS, "layer_conductance"):
            (layer,) = (p for p in params(registry.find("attributions", name)) if p.name == "layer")
            assert layer.listed == "layers"

    def test_the_command_line_lists_them(self, capsys):
        assert cli.run(["list", "layers", "--model", "power_cnn"]) == 0
        said = capsys.readouterr().out
        assert "conv2" in said and "32 x 24" in said
        assert [line.split()[0] for line in said.splitlines() if not line.endswith("map")] == [
            "flatten",
            "dropout",
            "head",
        ]
        for arguments in (["list", "layers"], ["list", "attacks", "--model", "power_cnn"]):
            assert cli.run(arguments) == 2
            assert "labkit list layers --model NAME" in capsys.readouterr().err

    @pytest.mark.parametrize(("length", "count"), [(8, 4), (28, 7), (9, 2), (5, 5), (7, 3)])
    def test_enlarging_is_torchs(self, length, count):
        values = torch.randn(2, 1, count, dtype=torch.float64)
        line = Line(length, count, (length / count - 1) / 2, length / count)
        oracle = nn.functional.interpolate(values, length, mode="linear", align_corners=False)
        torch.testing.assert_close(values @ line.weights().T, oracle)


@pytest.mark.parametrize("name", [*CAMS, "layer_conductance"])
@pytest.mark.parametrize("zoo", ["fashion_cnn", "fashion_resnet", "fashion_vit", "power_cnn", "digits_speech_cnn"])
def test_models_of_the_zoo(name, zoo):
    model = lk.zoo.load(zoo)
    if zoo == "digits_speech_cnn":
        x = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 8000)).astype(np.float32)
    else:
        x = lk.zoo.data(zoo).test.x[:2]
    quick = {"max_steps": 32} if name == "layer_conductance" else {"positive": False}
    record = explained(model, x, name, **quick)
    assert record.status == "measured" and record.attribution.shape == x.shape
    assert np.ptp(record.attribution.reshape(2, -1), axis=1).all()
    if name == "layer_conductance":
        # behind these two models' last maps stands a maximum over places, which takes up to 500 steps
        near = {"fashion_resnet": 0.3, "digits_speech_cnn": 0.15}.get(zoo, 0.05)
        np.testing.assert_allclose(record.facts["layer_total"], record.change, rtol=near)
