"""Faults of models and inputs under every attribution: each is named or handled, beside a sound twin that is not flagged."""

from __future__ import annotations

import re
import warnings
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import labkit as lk
from labkit.analyses._guard import unchanged
from labkit.core import registry
from labkit.core.method import needs, params, promises

FEW = {"samples": 8, "max_samples": 32, "steps": 4, "max_steps": 512, "anchors": 1, "bends": 2}
METHODS = lk.names("attributions")
OUTPUTS_ONLY = {
    "exact_shapley", "feature_ablation", "kernel_shap", "lime", "occlusion", "owen_shapley", "permutation_shapley",
}  # fmt: skip
RELU_RULES = {"deconvolution", "guided_backprop"}
PROPAGATED = {"deeplift", "lrp", *RELU_RULES}  # they may refuse what plain gradients pass
GENERATOR = np.random.default_rng(0)
TABLE = GENERATOR.normal(size=(3, 6)).astype(np.float32)
IMAGES = GENERATOR.uniform(size=(2, 1, 8, 8)).astype(np.float32)
TOKENS = GENERATOR.integers(1, 12, (3, 5))


class Table(nn.Module):
    """Six columns, two hidden layers and three logits, with an activation of choice."""

    def __init__(self, act=torch.relu) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        self.act = act
        with torch.no_grad():
            for p in self.parameters():
                p.mul_(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.act(self.b(self.act(self.a(x)))))


class Words(nn.Module):
    """Five words, attention and three logits; 0 is padding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.e, self.mix, self.head = (
            nn.Embedding(12, 8),
            nn.MultiheadAttention(8, 2, batch_first=True),
            nn.Linear(8, 3),
        )

    def forward(self, words: Tensor) -> Tensor:
        z = self.e(words)
        kept = (words != 0).to(z)[..., None]
        return self.head(((z + self.mix(z, z, z)[0]) * kept).sum(1) / kept.sum(1).clamp_min(1))


def picture_net(in_place: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(in_place), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(in_place)]
    return nn.Sequential(*first, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3))


class Seen(nn.Module):
    """A network seen through ``f(network, x)``: how each defect is planted."""

    def __init__(self, net: nn.Module, f) -> None:
        super().__init__()
        self.net, self.f = net, f

    def forward(self, x: Tensor) -> object:
        return self.f(self.net, x)


def wrapped(module: nn.Module, **options):
    return lk.wrap(module, classes=options.pop("classes", ["a", "b", "c"]), name="net", **options)


def seen(f, **options):
    return wrapped(Seen(Table(), f), **options)


def picture(module: nn.Module):
    return wrapped(module, bounds=(0, 1))


def words(module: nn.Module, embedding: str = "e"):
    return wrapped(module, embedding=embedding, padding=0)


def explained(model, x, method, **options):
    """The record, or the refusal; a warning on the screen is an error."""
    function = registry.find("attributions", method)
    known = {p.name: p for p in params(function)}
    few = {k: max(v, int(known[k].range.low)) for k, v in FEW.items() if k in known and known[k].range}
    if "background" in needs(function):
        options.setdefault("background", np.asarray(x)[::-1].copy() * (1 if model.embedding else 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return lk.explain(model, x, method, evidence=(), **few, **options)
        except lk.Refused as refusal:
            return refusal


def outcome(record) -> str:
    return "refused" if isinstance(record, lk.Refused) else record.status


@pytest.fixture(scope="module")
def sound():
    """Models without fault, by their inputs, and what every method says of them."""
    models = {"table": wrapped(Table()), "picture": picture(picture_net()), "words": words(Words())}
    inputs = {"table": TABLE, "picture": IMAGES, "words": TOKENS}
    return {k: (model, inputs[k], {m: explained(model, inputs[k], m) for m in METHODS}) for k, model in models.items()}


def unlike(found, twin, scale: float = 1.0, power: bool = False, tolerance: float = 1e-4) -> float:
    """By how much a map is not the twin's, of the twin's largest value."""
    scale = scale**2 if power else scale
    truth = scale * twin.attribution.astype(np.float64)
    return float(np.abs(found.attribution - truth).max() / np.abs(truth).max())


def test_sound_twins_are_measured_and_not_flagged(sound):
    for kind, (_, _, twins) in sound.items():
        running = {m: r for m, r in twins.items() if outcome(r) == "measured"}
        assert len(running) >= 17 and running.keys() >= OUTPUTS_ONLY, kind
        for method, record in running.items():
            assert np.isfinite(record.attribution).all() and record.attribution.any(), method
            flagged = [f.says for f in lk.check(record) if f.status == "does_not_meet"]
            assert not flagged, (kind, method, flagged)


Out = namedtuple("Out", "logits hidden")


class Answer:
    """An output with a field, such as libraries of transformers give."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


def halved_in_place(net, x):
    return net(x.mul_(0.5))


class Counting(nn.Module):
    """Keeps a number of its calls, in no buffer, and does not use it."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = Table(), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x)


def hooked(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.Embedding):
            part.register_forward_hook(lambda *_: None)
            part.register_forward_pre_hook(lambda *_: None)
    return module


def normed(module: nn.Module, names: tuple[str, ...]) -> nn.Module:
    for name in names:
        parametrizations.weight_norm(module.get_submodule(name))
    return module


HANDLED = {
    "shared": ("table", lambda: wrapped(Table(nn.ReLU()))),
    "in place, shared": ("table", lambda: wrapped(Table(nn.ReLU(inplace=True)))),
    "torch.relu_": ("table", lambda: wrapped(Table(torch.relu_))),
    "functional in place": ("table", lambda: wrapped(Table(lambda x: functional.relu(x, inplace=True)))),
    "clamp": ("table", lambda: wrapped(Table(lambda x: x.clamp(min=0)))),
    "in place in pictures": ("picture", lambda: picture(picture_net(in_place=True))),
    "dict": ("table", lambda: seen(lambda net, x: {"loss": None, "logits": net(x)})),
    "tuple": ("table", lambda: seen(lambda net, x: (net(x), x))),
    "named tuple": ("table", lambda: seen(lambda net, x: Out(net(x), x))),
    "object": ("table", lambda: seen(lambda net, x: Answer(net(x)))),
    "counter": ("table", lambda: wrapped(Counting())),
    "hooks": ("table", lambda: wrapped(hooked(Table()))),
    "hooks in pictures": ("picture", lambda: picture(hooked(picture_net()))),
    "hooks on words": ("words", lambda: words(hooked(Words()))),
    "weight_norm": ("table", lambda: wrapped(normed(Table(), ("a", "b", "c")))),
    "weight_norm in pictures": ("picture", lambda: picture(normed(picture_net(), ("0", "6")))),
    "training mode": ("picture", lambda: picture(picture_net().train())),
    "float64": ("table", lambda: wrapped(Table().double())),
}


@pytest.mark.parametrize("fault", HANDLED)
def test_ways_to_write_a_model_do_not_change_the_answer(fault, sound):
    kind, make = HANDLED[fault]
    _, x, twins = sound[kind]
    model = make()
    for method, twin in twins.items():
        if outcome(twin) != "measured":
            continue
        found = explained(model, x, method)
        assert outcome(found) == "measured", f"{method}: {found}"
        assert unlike(found, twin) < 1e-4, method


def test_what_captum_cannot_follow_is_never_a_wrong_number():
    for make in (lambda: Table(nn.ReLU()), Table, lambda: Table(nn.ReLU(inplace=True))):
        found = explained(wrapped(make()), TABLE, "deeplift")
        assert outcome(found) != "measured"
        assert "integrated_gradients" in (found.instead if isinstance(found, lk.Refused) else found.reason)


@pytest.mark.parametrize(
    ("change", "twin"),
    [
        (halved_in_place, lambda net, x: net(x * 0.5)),
        (
            lambda net, x: net(x.index_fill_(1, torch.tensor([0]), 0)),
            lambda net, x: net(x * torch.tensor([0.0, *[1] * 5])),
        ),
    ],
)
def test_models_that_write_to_their_inputs(change, twin):
    kept = TABLE.copy()
    for method in OUTPUTS_ONLY | {
        "integrated_gradients",
        "saliency",
        "smoothgrad",
        "guided_backprop",
        "lrp",
        "deeplift",
    }:
        found, truth = (explained(seen(f), TABLE, method) for f in (change, twin))
        assert outcome(found) == outcome(truth) or (method == "lrp" and "no rule" in found.given)
        assert outcome(found) != "measured" or unlike(found, truth) < 1e-5, method
    assert np.array_equal(TABLE, kept)


def test_spectral_norm_is_the_layer_that_it_stands_for():
    module = Table()
    parametrizations.spectral_norm(module.b)
    module.eval()
    plain = Table()
    with torch.no_grad():
        plain.b.weight.copy_(module.b.weight)
    for method in ("integrated_gradients", "lrp", "kernel_shap", "guided_backprop", "smoothgrad"):
        found, twin = explained(wrapped(module), TABLE, method), explained(wrapped(plain), TABLE, method)
        assert unlike(found, twin) < 1e-4, method


def test_hooks_of_a_models_own_survive_and_others_are_told():
    calls: list[int] = []
    module = Table()
    module.a.register_forward_hook(lambda *_: calls.append(1))
    module.c.register_forward_hook(lambda _m, _i, out: 2 * out)
    model = wrapped(module)
    found, plain = (explained(m, TABLE, "integrated_gradients") for m in (model, wrapped(Table())))
    assert unlike(found, plain, scale=2) < 1e-4 and calls
    assert len(model.module.a._forward_hooks) == len(model.module.c._forward_hooks) == 1
    with pytest.raises(lk.Refused, match=r"changed by the analysis \(b\)"), unchanged(model):
        model.module.b.register_forward_pre_hook(lambda *_: None)


@pytest.mark.parametrize("factor", [1e3, 1e-6, 1e-12])
def test_maps_scale_with_the_outputs(factor, sound):
    model = seen(lambda net, x: factor * net(x))
    for method, twin in sound["table"][2].items():
        if outcome(twin) == "measured":
            found = explained(model, TABLE, method)
            assert outcome(found) == "measured", f"{method}: {found}"
            squared = "squared" in promises(registry.find("attributions", method))
            assert unlike(found, twin, factor, squared) < 1e-3, method
            assert not [f for f in lk.check(found) if f.status == "does_not_meet"], method


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_maps_do_not_depend_on_the_inputs_unit(factor, sound):
    model = seen(lambda net, x: net(x / factor))
    for method, twin in sound["table"][2].items():
        if outcome(twin) != "measured":
            continue
        found = explained(model, TABLE * np.float32(factor), method)
        slope = method in ("saliency", "smoothgrad", *RELU_RULES, "vargrad")
        assert outcome(found) == "measured", f"{method}: {found}"
        assert unlike(found, twin, 1 / factor if slope else 1, method == "vargrad") < 1e-2, method


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["table", "picture"])
def test_half_precision_is_near_or_withheld(half, kind, sound):
    _, x, twins = sound[kind]
    model = wrapped(
        (Table() if kind == "table" else picture_net()).to(half), bounds=None if kind == "table" else (0, 1)
    )
    measured = 0
    for method, twin in twins.items():
        found = explained(model, x, method)
        if method == "guided_ig" and half is torch.bfloat16:
            continue  # its path goes by the order of gradients, which rounding changes
        if outcome(found) != "measured":  # in bfloat16 a path's rounding can pass 5 %
            assert outcome(twin) == outcome(found) or (half is torch.bfloat16 and "adds up to" in found.reason), method
            continue
        measured += 1
        pairs = zip(found.attribution.reshape(len(x), -1), twin.attribution.reshape(len(x), -1))
        alike = min(float(np.corrcoef(a, b)[0, 1]) for a, b in pairs)
        assert alike > (0.9 if half is torch.bfloat16 else 0.97), (method, alike)
    assert measured >= 15


def test_half_precision_that_overflows_ends_and_is_told():
    class Hump(nn.Module):
        """Finite at both ends; in between, float16 runs over."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            return self.head(x) + 1e-9 * ((x * (1 - x)).sum(1, keepdim=True) * 6e4) ** 2

    x = np.ones((2, 6), np.float32)
    for method in ("integrated_gradients", "guided_ig", "expected_gradients"):
        found = explained(wrapped(Hump().half()), x, method, target=0)
        assert isinstance(found, lk.Refused) and "NaN or infinite" in found.given and "float32" in found.instead, method
        assert outcome(explained(wrapped(Hump()), x, method, target=0)) == "measured"
    for method in ("occlusion", "kernel_shap", "saliency"):  # they ask where it is finite
        found, twin = (explained(wrapped(m), x, method, target=0) for m in (Hump().half(), Hump()))
        assert unlike(found, twin) < 0.01


def in_training(net, x):
    return net(functional.batch_norm(x, None, None, training=True))


class Buffered(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Table()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x)


class Remembering(nn.Module):
    """Answers with the mean of this answer and the last."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.last = Table(), None

    def forward(self, x: Tensor) -> Tensor:
        now = self.net(x)
        last = now if self.last is None or self.last.shape != now.shape else self.last
        self.last = now.detach()
        return (now + last) / 2


def raising(net, x):
    if (x == 0).all():
        raise ZeroDivisionError("nothing to divide by")
    return net(x)


REFUSED = {
    "batch statistics": (lambda: seen(in_training), TABLE, "rest of its batch"),
    "softmax over the batch": (lambda: seen(lambda net, x: net(x).softmax(0)), TABLE, "rest of its batch"),
    "less the batch's mean, one row": (lambda: seen(lambda net, x: net(x - x.mean(0))), TABLE[:1], "rest of its batch"),
    "one length of batch": (lambda: seen(lambda net, x: net(x) * (1 + len(x) // 4)), TABLE, "in a batch of 4"),
    "squeezed": (lambda: seen(lambda net, x: net(x).squeeze()), TABLE, r"shape \(3,\) in a batch of 1"),
    "fixed batch": (lambda: seen(lambda net, x: net(x.reshape(3, 6))), TABLE, "the model raises"),
    "dropout left on": (lambda: seen(lambda net, x: net(functional.dropout(x, 0.5))), TABLE, "when asked again"),
    "memory": (lambda: wrapped(Remembering()), TABLE, "when asked again|rest of its batch"),
    "buffer": (lambda: wrapped(Buffered()), TABLE, r"own buffers when it answers \(calls\)"),
    "no logits": (lambda: seen(lambda net, x: {"scores": net(x)}), TABLE, "keys scores"),
    "nothing": (lambda: seen(lambda net, x: None), TABLE, "NoneType"),
    "empty tuple": (lambda: seen(lambda net, x: ()), TABLE, "tuple"),
    "one-hot as logits": (
        lambda: seen(lambda net, x: functional.one_hot(net(x).argmax(1), 3).float()), TABLE, "probabilities"),
    "minus infinity": (lambda: seen(lambda net, x: net(x) - torch.tensor([0, 0, torch.inf])), TABLE, "NaN or infinite"),
    "nan at the baseline": (lambda: seen(lambda net, x: net(x / x.norm(dim=1, keepdim=True))), TABLE, "at the baseline"),
    "raises at the baseline": (lambda: seen(raising), TABLE, "ZeroDivisionError: nothing"),
    "words without embedding": (lambda: wrapped(Words()), TOKENS, "whole numbers"),
    "words as fractions": (lambda: words(Words()), TOKENS.astype(np.float32), "type torch.float32"),
    "words out of range": (lambda: words(Words()), TOKENS + 50, "out of range"),
    "words below 0": (lambda: words(Words()), TOKENS - 8, "out of range"),
    "words that the model writes": (
        lambda: words(Seen(Words(), lambda net, x: net(x.index_fill_(1, torch.tensor([0]), 3))), "net.e"), TOKENS,
        "given something else than the inputs"),
    "padding only": (lambda: words(Words()), TOKENS * np.array([[0], [1], [1]]), r"on 1 of 3 rows \(first: 0\)"),
    "no rows": (lambda: wrapped(Table()), TABLE[:0], r"shape \(0, 6\)"),
    "no columns": (lambda: wrapped(Table()), TABLE[:, :0], r"shape \(3, 0\)"),
    "one input": (lambda: wrapped(Table()), TABLE[0], r"shape \(6,\)"),
    "other width": (lambda: wrapped(Table()), TABLE[:, :4], r"shape \(3, 4\)"),
    "nan": (lambda: wrapped(Table()), np.where(TABLE[1, 2] == TABLE, np.nan, TABLE), r"1 of 3 rows hold NaN .*first: 1"),
    "infinity": (lambda: wrapped(Table()), np.where(TABLE[1, 2] == TABLE, np.inf, TABLE), "first: 1"),
    "masked out": (lambda: wrapped(Table()), np.ma.masked_array(TABLE, TABLE > 1), "masked"),
    "booleans": (lambda: wrapped(Table()), TABLE > 0, "type bool"),
    "complex": (lambda: wrapped(Table()), TABLE.astype(complex), "type complex"),
    "text": (lambda: wrapped(Table()), TABLE.astype(str), "type <U"),
    "unlike rows": (lambda: wrapped(Table()), [[1.0], [2.0, 3.0]], "makes no array"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_faults_that_every_method_names(fault):
    make, x, why = REFUSED[fault]
    model = make()
    for method in METHODS:
        options = {"background": TABLE} if "background" in needs(registry.find("attributions", method)) else {}
        with pytest.raises(lk.Refused) as refusal:
            lk.explain(model, x, method, **options)
        assert re.search(why, refusal.value.given), f"{method}: {refusal.value}"
        assert refusal.value.instead
    if fault == "buffer":
        assert model.module.calls == 0, "the model is left as it was"


@pytest.mark.parametrize("options", [
    {"target": -1}, {"target": 3}, {"target": 1.0}, {"target": [0.0, 1.0, 2.0]}, {"target": True}, {"target": [0, 1]},
    {"target": [0, 1, 2, 0]}, {"target": [[0], [1], [2]]}, {"target": [[0, 1], [2]]}, {"target": "z"},
    {"target": ["a", "z", "b"]}, {"target": np.nan}, {"target": {}}, {"target": 2**40}, {"target": [None, 1, 2]},
    {"target": 0, "against": 0}, {"target": lambda out: out}, {"target": lambda out: out.argmax(1)},
    {"baseline": np.nan}, {"baseline": np.inf}, {"baseline": TABLE}, {"baseline": TABLE[:2]}, {"baseline": "zero"},
    {"baseline": [[1], [2, 3]]}, {"baseline": {}}, {"features": [1, 2]}, {"features": "x"}, {"features": [[1], [2, 3]]},
    {"features": {"pair": [0, 9]}}, {"features": {"a": [0], "b": [0]}}, {"background": TABLE * np.nan},
    {"background": TABLE[:0]}, {"background": TABLE[:, :3]}, {"background": "train"}, {"seed": "x"}, {"batch_size": 0},
    {"batch_size": 2.5}, {"batch_size": -1},
], ids=lambda options: re.sub(" at 0x[0-9a-f]+", "", str(options)))  # fmt: skip
def test_options_that_mean_nothing(options, sound):
    model = sound["table"][0]
    for method in ("saliency", "kernel_shap", "expected_gradients"):
        given = {"background": TABLE} if method == "expected_gradients" else {}
        if method != "expected_gradients" and "background" in options and not isinstance(options["background"], str):
            continue  # what is not asked for is not looked at
        with pytest.raises(lk.Refused):
            lk.explain(model, TABLE, method, evidence=(), **{**given, **options})


def test_arrays_in_every_form(sound):
    model, _, twins = sound["table"]
    still = TABLE.copy()
    still.flags.writeable = False
    forms = {
        "columns first": np.asfortranarray(TABLE), "read-only": still, "strided": np.repeat(TABLE, 2, 1)[:, ::2],
        "float64": TABLE.astype(np.float64), "list": TABLE.tolist(), "frame": pd.DataFrame(TABLE),
        "other byte order": TABLE.astype(">f4"), "long": TABLE.astype(np.longdouble), "sparse": torch.tensor(TABLE).to_sparse(),
        "with a graph": torch.tensor(TABLE, requires_grad=True),
    }  # fmt: skip
    for method in ("saliency", "integrated_gradients", "kernel_shap", "occlusion", "smoothgrad", "lrp"):
        for form, x in forms.items():
            assert unlike(explained(model, x, method), twins[method]) < 1e-5, (method, form)
    pictures, _, seen_so = sound["picture"]
    backwards = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    tokens, _, read_so = sound["words"]
    for method in ("grad_cam", "rise", "occlusion", "blur_ig"):
        assert unlike(explained(pictures, backwards, method), seen_so[method]) < 1e-5, method
    for kind in ("uint8", "int16", "int32", "uint32"):
        assert unlike(explained(tokens, TOKENS.astype(kind), "kernel_shap"), read_so["kernel_shap"]) < 1e-5, kind


def test_a_baseline_that_some_features_share_with_the_input(sound):
    start = np.where(np.arange(6) < 3, TABLE, 0).astype(np.float32)
    for method, twin in sound["table"][2].items():
        found = explained(sound["table"][0], TABLE, method, baseline=start)
        if outcome(found) != "measured":
            assert outcome(twin) == outcome(found), method
        elif {"baseline"} <= set(needs(registry.find("attributions", method))):
            assert not found.attribution[:, :3].any() and found.attribution[:, 3:].any(), method


CUT = {
    "detached": lambda net, x: net(x.detach()),
    "data": lambda net, x: net(x.data),
    "no_grad": lambda net, x: torch.no_grad()(net)(x),
    "inference mode": lambda net, x: torch.inference_mode()(net)(x),
    "rounded": lambda net, x: net((x * 2).round()),
    "partly detached": lambda net, x: net(torch.cat([x[:, :3].detach(), x[:, 3:]], 1)),
    "partly rounded": lambda net, x: net(torch.cat([(x[:, :3] * 2).round(), x[:, 3:]], 1)),
}


@pytest.mark.parametrize("cut", CUT)
def test_gradients_that_are_cut_are_withheld_and_outputs_still_explained(cut, sound):
    model = seen(CUT[cut])
    for method, twin in sound["table"][2].items():
        if outcome(twin) != "measured":
            continue
        found = explained(model, TABLE, method)
        if method in OUTPUTS_ONLY:
            assert outcome(found) == "measured", f"{method}: {found}"
            assert cut.endswith("rounded") or unlike(found, twin) < 1e-4, method
            continue
        assert outcome(found) != "measured", method
        offered = found.instead if isinstance(found, lk.Refused) else found.reason
        assert "occlusion" in offered or "kernel_shap" in offered, f"{method}: {offered}"


def test_a_column_that_the_model_does_not_read_is_no_cut():
    model = seen(lambda net, x: net(x * torch.tensor([0.0, 1, 1, 1, 1, 1])))
    for method in ("saliency", "input_x_gradient", "integrated_gradients", "lrp", "occlusion"):
        found = explained(model, TABLE, method)
        assert outcome(found) == "measured" and found.attribution[:, 1:].any()
        assert np.abs(found.attribution[:, 0]).max() < 1e-6, method


CONSTANT = {
    "table": lambda: seen(lambda net, x: 0 * net(x) + torch.tensor([1.0, 2, 3])),
    "table that is not read": lambda: seen(lambda net, x: net(0 * x)),
    "table without a graph": lambda: seen(lambda net, x: torch.ones(len(x), 3)),
    "saturated": lambda: seen(lambda net, x: (1e4 * net(x.clamp(8, 9))).softmax(1), outputs="probabilities"),
    "picture": lambda: picture(Seen(picture_net(), lambda net, x: 0 * net(x) + torch.tensor([1.0, 2, 3]))),
    "words": lambda: words(Seen(Words(), lambda net, x: 0 * net(x) + torch.tensor([1.0, 2, 3])), "net.e"),
}


@pytest.mark.parametrize("kind", CONSTANT)
def test_an_output_that_never_changes_has_nothing_to_attribute(kind, sound):
    _, x, twins = sound[kind if kind in sound else "table"]
    model = CONSTANT[kind]()
    for method in twins:
        found = explained(model, x, method)
        assert outcome(found) != "measured", method
        if outcome(found) == "not_measured":
            assert "nothing to attribute" in found.reason and np.isnan(found.attribution).all(), found.reason


def test_a_score_that_is_the_baselines_by_coincidence_is_still_explained():
    model = seen(lambda net, x: torch.stack([x[:, 0] * x[:, 1], x[:, 2] - x[:, 3], x[:, 4]], 1))
    x = np.tile(np.array([[0, 2, 1, 1, 0.5, 1]], np.float32), (3, 1))
    for method in ("saliency", "input_x_gradient", "occlusion", "integrated_gradients", "kernel_shap"):
        found = explained(model, x, method, target=1)
        assert outcome(found) != "refused"
        if outcome(found) == "measured":
            np.testing.assert_allclose(np.abs(found.attribution[:, 2:4]), 1, atol=1e-4)
        else:
            assert "change that is not there" in found.reason
    assert outcome(explained(model, x, "saliency", target=1)) == "measured"


def test_scores_whose_rounding_hides_their_change():
    model = seen(lambda net, x: net(x) + 1e6)
    for method in ("integrated_gradients", "kernel_shap", "exact_shapley", "guided_ig"):
        assert outcome(explained(model, TABLE, method)) == "not_measured", method
    found = explained(model, TABLE, "occlusion")
    assert outcome(found) == "not_measured" or any("rounding" in w for w in found.warnings)


class Own(torch.autograd.Function):
    """The identity, which cannot be gone back through."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        raise ValueError("no way back")


def overwritten(net, x):
    hidden = torch.sigmoid(net.a(x))
    hidden.mul_(2)
    return net.c(hidden)


BROKEN_BACK = {
    "own function": lambda net, x: net(Own.apply(x)),
    "overwritten": overwritten,
    "by NumPy": lambda net, x: net(torch.from_numpy(x.numpy())),
    "slope of a root": lambda net, x: net(x) + (x - x.detach()).abs().sqrt().sum(1, keepdim=True),
}


@pytest.mark.parametrize("way", BROKEN_BACK)
def test_a_way_back_that_fails_is_told_and_outputs_are_explained(way):
    model = seen(BROKEN_BACK[way])
    for method in METHODS:
        found = explained(model, TABLE, method)
        if method in OUTPUTS_ONLY:
            assert outcome(found) == "measured", f"{method}: {found}"
        elif method not in PROPAGATED:
            assert outcome(found) == "refused", method
    refusal = explained(model, TABLE, "integrated_gradients")
    assert re.search("occlusion|float32", refusal.instead), refusal


def test_one_row_one_feature_and_copies(sound):
    model, _, twins = sound["table"]
    for method in ("integrated_gradients", "kernel_shap", "occlusion", "smoothgrad", "lrp", "exact_shapley", "lime"):
        one = explained(model, TABLE[:1], method)
        assert np.abs(one.attribution - twins[method].attribution[:1]).max() < 1e-4 * np.abs(one.attribution).max()
    torch.manual_seed(0)
    narrow = wrapped(nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 3)))
    for method, twin in twins.items():
        found = explained(narrow, TABLE[:, :1], method)
        if outcome(found) == "measured":
            assert not [f for f in lk.check(found) if f.status == "does_not_meet"], method
            assert not found.complete or np.allclose(found.attribution[:, 0], found.change, rtol=0.05), method
        else:
            assert outcome(twin) != "measured" or method == "vargrad", f"{method}: {found}"
    twice = seen(lambda net, x: net(x[:, :6]) + net(x[:, 6:]))
    for method, twin in twins.items():
        found = explained(twice, np.concatenate([TABLE, TABLE], 1), method, target=0)
        if outcome(twin) == "measured" and method not in ("vargrad", "smoothgrad", "expected_gradients"):
            first, second = found.attribution[:, :6], found.attribution[:, 6:]
            exact = method not in ("kernel_shap", "lime", "owen_shapley", "permutation_shapley", "guided_ig")
            assert not exact or np.allclose(first, second, atol=1e-4 * np.abs(first).max()), method


@pytest.mark.parametrize(
    "method", [m for m in METHODS if "layer" in {p.name for p in params(registry.find("attributions", m))}]
)
def test_layers_that_collapse_or_are_not_there(method):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    for layer, why in (("2", "without spatial extent"), ("4", "without spatial extent"), ("conv", "conv")):
        with pytest.raises(lk.Refused, match=why):
            lk.explain(picture(net), IMAGES, method, layer=layer)
    options = (
        {"positive": False} if "positive" in {p.name for p in params(registry.find("attributions", method))} else {}
    )
    assert outcome(explained(picture(net), IMAGES, method, **options)) == "measured"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 6)), columns=[f"f{i}" for i in range(6)])
    path = tmp_path_factory.mktemp("people") / "people.csv"
    frame.assign(y=np.array(list("abc"))[np.arange(200) % 3]).to_csv(path, index=False)
    return lk.data.open(path, target="y")


def analyses(model, data, other):
    """Every analysis of explanations, asked of a model and data."""
    train = other.train
    return {
        "recommend": lambda: lk.recommend(model, data, budget=20, unit="passes", methods=["saliency", "occlusion"]),
        "agreement": lambda: lk.agreement(model, data, ["saliency", "occlusion"]),
        "counterfactuals": lambda: lk.counterfactuals(model, data, background=train, control=False),
        "concepts": lambda: lk.concepts(model, data, {"high": train.x[:40]}, train.x, target=0, size=10, sets=2),
        "neighbors": lambda: lk.neighbors(model, data, train),
        "influence": lambda: lk.influence(model, data, train),
        "prototypes": lambda: lk.prototypes(model, data, count=2, draws=5),
        "visualize_features": lambda: lk.visualize_features(model, data, units=[0], steps=2, starts=1),
        "permutation_importance": lambda: lk.permutation_importance(model, data, deals=2, replicates=20),
        "feature_effect": lambda: lk.feature_effect(model, data, "f0", rows=20),
        "surrogate": lambda: lk.surrogate(model, data, rows=100),
        "reasons": lambda: lk.reasons(model, data, 0, train, pairs=4),
    }


BAD_DATA = {
    "nothing": None, "a name": "digits", "no rows": TABLE[:0], "unlike rows": [[1], [2, 3]], "a number": np.float32(3),
    "nan": TABLE * np.nan, "words": TOKENS, "text": TABLE.astype(str), "a dict": {},
}  # fmt: skip


@pytest.mark.parametrize("given", BAD_DATA)
def test_analyses_refuse_data_that_are_none(given, people, sound):
    for name, ask in analyses(sound["table"][0], BAD_DATA[given], people).items():
        with pytest.raises(lk.Refused) as refusal:
            ask()
        assert refusal.value.given and refusal.value.instead, name


def test_analyses_refuse_models_that_are_none(people):
    price = wrapped(nn.Linear(6, 1), classes=["price"], outputs="values")
    numbers = {"recommend", "agreement", "feature_effect"}  # these explain a number too
    for model in (lk.zoo.load("fashion_vae"), nn.Linear(6, 3), "fashion_cnn", None, price):
        for name, ask in analyses(model, people.test, people).items():
            if model is price and name in numbers:
                assert ask() is not None
                continue
            with pytest.raises(lk.Refused) as refusal:
                ask()
            assert refusal.value.given, name


def test_the_twins_of_refused_analyses_are_measured(people, sound):
    asked = analyses(sound["table"][0], people.test, people)
    for name in ("agreement", "neighbors", "influence", "permutation_importance", "feature_effect", "reasons"):
        record = asked[name]()
        assert record.status == "measured", name


def test_pictures_without_contrast_are_no_ground_for_feature_visualisation(sound):
    model = sound["picture"][0]
    with pytest.raises(lk.Refused, match="one value everywhere"):
        lk.visualize_features(model, np.ones((2, 1, 8, 8), np.float32), units=[0], steps=2, starts=1)
    assert lk.visualize_features(model, IMAGES, units=[0], steps=2, starts=1).status == "measured"
