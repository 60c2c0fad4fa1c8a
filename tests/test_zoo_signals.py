"""Speech, time series and spikes: data, networks, measures and shipped models, each derived another way."""

from __future__ import annotations

import hashlib
import io
import math
import wave
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.core.refused import Refused
from labkit.data import locating, series
from labkit.data.schema import Schema
from labkit.data.sets import spoken_digits as speech
from labkit.data.split import Dataset, Split
from labkit.models.architectures.log_mel_cnn import FLOOR, LogMel, Mask, log_mel_cnn
from labkit.models.architectures.series_cnn import series_cnn
from labkit.models.architectures.series_rnn import series_rnn
from labkit.models.architectures.spiking import LeakyIntegrateAndFire, LeakyMean, spiking
from labkit.training.measures import speakers
from labkit.training.measures.spikes import spike_share
from labkit.training.objectives.sparse_spikes import SparseSpikes
from labkit.training.recipe import Recipe
from labkit.views._static import svg

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def ready(what, *arguments, **options):
    """The model or data, or a skip that says what is missing on this machine."""
    try:
        return what(*arguments, **options)
    except lk.Refused as refusal:
        pytest.skip(str(refusal))


@pytest.fixture(scope="module")
def spoken():
    """The published recordings, from LABKIT_DATA or a folder beside the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        if SHARED.is_dir():
            patch.setenv("LABKIT_DATA", str(SHARED))
        return ready(lk.data.load, "spoken_digits")


class TestSpokenDigits:
    NAMES = ("ann", "bob", "cy", "dee", "eve", "flo")  # stand-ins for the six

    @pytest.fixture
    def wavs(self, tmp_path, monkeypatch):
        """Two words by six voices, two takes each, as wav files that the loader takes for the published ones."""
        draw = np.random.default_rng(0)
        files = {}
        for digit in (0, 1):
            for name in self.NAMES:
                for take in (4, 5):
                    length = 9000 if (digit, name, take) == (1, "cy", 5) else int(draw.integers(500, 4000))
                    samples = draw.integers(-900, 900, length).astype("<i2")
                    files[f"{digit}_{name}_{take}"] = samples
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "own"))
        digest = hashlib.sha256()
        for name in sorted(files):
            digest.update(name.encode() + files[name].tobytes())
        monkeypatch.setattr(speech, "_SHA256", digest.hexdigest())
        return files

    @staticmethod
    def raw(samples: np.ndarray, channels: int = 1) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(channels)
            out.setsampwidth(2)
            out.setframerate(8000)
            out.writeframes(samples.tobytes())
        return file.getvalue()

    def write(self, folder: Path, wavs: dict[str, np.ndarray]) -> None:
        (folder / "recordings").mkdir(parents=True)
        for name, samples in wavs.items():
            (folder / "recordings" / f"{name}.wav").write_bytes(self.raw(samples))

    def test_recordings_become_seconds(self, wavs, tmp_path):
        self.write(tmp_path / "own", wavs)
        data = lk.data.load("spoken_digits")
        assert [len(s) for s in data] == [12, 12] and data.schema.modality == "audio"
        order = [n for n in sorted(wavs) if n.endswith("_5")]
        for row, name, label in zip(data.train.x, order, data.train.y, strict=True):
            clip = wavs[name][:8000].astype(np.float64)
            assert label == int(name[0]) and row.shape == (8000,)
            np.testing.assert_allclose(row[: len(clip)], clip / np.abs(clip).max(), atol=1e-6)
            assert not row[len(clip) :].any()
        voices = dict(zip(self.NAMES, ("Greek", "American A", "German A", "Belgian French", "American B", "German B")))
        assert list(data.train.groups["speaker"]) == [voices[n.split("_")[1]] for n in order]
        accents = set(data.train.groups["accent"])
        assert accents == {"Greek", "American", "German", "Belgian French"}

    def test_a_download_is_kept(self, wavs, tmp_path, monkeypatch):
        with pytest.raises(Refused, match="allow_download=True"):
            lk.data.load("spoken_digits")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, samples in wavs.items():
                archive.writestr(f"root-abc/recordings/{name}.wav", self.raw(samples))
            archive.writestr("root-abc/utils/not_a_recording.wav", b"")
        asked = []
        monkeypatch.setattr(
            locating, "urlopen", lambda url, timeout: asked.append(url) or io.BytesIO(packed.getvalue())
        )
        first = lk.data.load("spoken_digits", allow_download=True)
        again = lk.data.load("spoken_digits")
        assert len(asked) == 1 and asked[0].startswith("https://github.com/")
        assert again.train.digest == first.train.digest and again.test.digest == first.test.digest

    def test_other_recordings_are_refused(self, wavs, tmp_path, monkeypatch):
        changed = {**wavs, "0_bob_4": wavs["0_bob_4"] ^ 1}
        self.write(tmp_path / "own", changed)
        with pytest.raises(Refused, match="24 recordings with SHA-256"):
            lk.data.load("spoken_digits")
        (tmp_path / "own" / "recordings" / "0_bob_4.wav").write_bytes(self.raw(wavs["0_bob_4"], channels=2))
        with pytest.raises(Refused, match="0_bob_4"):
            lk.data.load("spoken_digits")
        (tmp_path / "own" / "recordings" / "0_bob_4.wav").write_bytes(b"RIFF")
        with pytest.raises(Refused, match="0_bob_4"):
            lk.data.load("spoken_digits")
        monkeypatch.setattr(locating, "urlopen", lambda url, timeout: io.BytesIO(b"no archive"))
        monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "nothing"))
        with pytest.raises(Refused, match="not a zip"):
            lk.data.load("spoken_digits", allow_download=True)

    def test_the_published_ones(self, spoken):
        assert [len(s) for s in spoken] == [2700, 300]
        for split, takes in zip(spoken, (45, 5)):
            pairs = set(zip(split.groups["speaker"], split.y))
            assert len(pairs) == 60
            for speaker, digit in pairs:
                assert ((split.groups["speaker"] == speaker) & (split.y == digit)).sum() == takes
        np.testing.assert_allclose(np.abs(spoken.test.x).max(1), 1.0)
        table = spoken.schema.table()
        assert list(table["feature"]) == ["sample"] and list(table["low"]) == [-1.0]


class TestSeries:
    def test_published_counts(self):
        power, vowels = (ready(lk.data.load, name) for name in ("italy_power", "japanese_vowels"))
        assert [s.x.shape for s in power] == [(67, 1, 24), (1029, 1, 24)]
        assert [s.x.shape for s in vowels] == [(270, 12, 29), (370, 12, 29)]
        assert list(np.bincount(vowels.train.y)) == [30] * 9  # as the UCI repository tells
        assert list(np.bincount(vowels.test.y)) == [31, 35, 88, 44, 29, 24, 40, 50, 29]
        real = np.concatenate([(s.x != 0).any(1) for s in vowels])
        assert real.sum(1).min() == 7 and real.sum(1).max() == 29
        assert (np.diff(real.astype(int), axis=1) <= 0).all()  # padding follows
        for split in power:
            np.testing.assert_allclose(split.x.mean(2), 0, atol=1e-5)

    def test_lines_are_channels_and_a_label(self):
        parsed, labels = series.read_ts("@classLabel true 1 2\n@data\n1,2:3,4:2\n\n5,6,7:8,9,10:1\n", "a.ts")
        assert labels == ["2", "1"] and [s.tolist() for s in parsed] == [[[1, 2], [3, 4]], [[5, 6, 7], [8, 9, 10]]]
        for text in ("@data\n1,x:1", "@data\n1,2:3:1", "@data\n", "1,2:1"):
            with pytest.raises(Refused):
                series.read_ts(text, "a.ts")

    def test_without_the_package_the_extra_is_named(self, monkeypatch):
        monkeypatch.setattr("labkit.core.extras.find_spec", lambda name: None)
        with pytest.raises(Refused, match=r"labkit\[timeseries\]"):
            lk.data.load("italy_power")


class TestLogMel:
    def test_bands_are_those_of_a_plain_transform(self):
        rate, window, hop, bands = 8000, 128, 50, 12
        x = np.random.default_rng(0).normal(size=400)
        found = LogMel(rate, window, hop, bands)(torch.tensor(x[None], dtype=torch.float32))[0].numpy()
        mel = np.linspace(0, 2595 * math.log10(1 + rate / 2 / 700), bands + 2)
        corner = 700 * (10 ** (mel / 2595) - 1)
        taper = np.sin(np.pi * np.arange(window) / window) ** 2
        frequency = np.fft.rfftfreq(window, 1 / rate)
        for i, start in enumerate(range(0, 400 - window + 1, hop)):
            power = np.abs(np.fft.rfft(x[start : start + window] * taper)) ** 2 / (taper**2).sum()
            for b in range(bands):
                weight = np.interp(frequency, corner[b : b + 3], [0, 1, 0])
                assert found[b, i] == pytest.approx(math.log(weight @ power + FLOOR), abs=1e-3)
        assert found.shape == (bands, i + 1)

    def test_white_noise_has_its_variance_in_each_bin(self):
        hear = LogMel(8000, 256, 256, 10)
        x = 0.3 * torch.randn(1, 256 * 4000, generator=torch.Generator().manual_seed(0))
        power = (hear(x).exp() - FLOOR)[0].mean(1)
        torch.testing.assert_close(power, 0.09 * hear.triangles.sum(0), rtol=0.05, atol=0)

    def test_silence_is_finite_with_finite_gradients(self):
        x = torch.zeros(1, 800, requires_grad=True)
        bands = LogMel(8000, 64, 32, 8)(x)
        bands.sum().backward()
        torch.testing.assert_close(bands, torch.full_like(bands, math.log(FLOOR)))
        assert torch.isfinite(x.grad).all()

    def test_masks_are_runs_and_only_while_training(self):
        mask, x = Mask(3, 4), torch.ones(200, 8, 10)
        assert torch.equal(mask.eval()(x), x)
        torch.manual_seed(0)
        gone = mask.train()(x) == 0
        bands, frames = gone.all(2), gone.all(1)
        assert torch.equal(gone, bands[:, :, None] | frames[:, None, :])
        for covered, most in ((bands, 3), (frames, 4)):
            assert set(covered.sum(1).tolist()) == set(range(most + 1))
            edges = covered.int().diff(dim=1, prepend=torch.zeros(200, 1), append=torch.zeros(200, 1)).abs().sum(1)
            assert edges.max() == 2  # one run
            assert covered.any(0).all()  # anywhere


class TestSeriesRNN:
    @pytest.fixture
    def net(self):
        torch.manual_seed(0)
        return series_rnn(classes=3, channels=2, mean=[0.5, -0.5], std=[2.0, 0.5], hidden=5).eval()

    def test_it_is_torchs_gru_on_the_bare_series(self, net):
        x = torch.randn(1, 2, 6)
        steps = ((x - torch.tensor([0.5, -0.5])[:, None]) / torch.tensor([2.0, 0.5])[:, None]).transpose(1, 2)
        means = []
        for cell, inputs in ((net.onward, steps), (net.contrary, steps.flip(1))):
            gru = nn.GRU(2, 5, batch_first=True)
            gru.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
            means.append(gru(inputs)[0].mean(1))
        torch.testing.assert_close(net(x), net.head(torch.cat(means, 1)))

    def test_padding_is_nothing_wherever_it_stands(self, net):
        x = torch.randn(4, 2, 6)
        gap = torch.zeros(4, 2, 2)
        for padded in ([x, gap], [gap, x], [x[..., :3], gap, x[..., 3:]]):
            torch.testing.assert_close(net(torch.cat(padded, 2)), net(x))
        assert torch.isfinite(net(torch.zeros(1, 2, 6))).all()

    def test_order_matters(self, net):
        x = torch.randn(4, 2, 6)
        assert (net(x.flip(2)) - net(x)).abs().max() > 1e-3


class TestSpiking:
    def test_spikes_of_a_neuron_stepped_by_hand(self):
        current = torch.tensor([[0.0, 0.05, 0.3, 0.7, 1.4, -1.0]])
        spikes = LeakyIntegrateAndFire(steps=12, decay=0.8, slope=10)(current)[0]
        for j, drive in enumerate(current[0].tolist()):
            potential = 0.0
            for t in range(12):
                potential = 0.8 * potential + drive
                fired = potential > 1
                potential -= fired
                assert spikes[t, j] == float(fired)

    def test_without_a_leak_the_count_is_the_charge(self):
        current = torch.tensor([[0.03, 0.13, 0.41, 0.77]])
        spikes = LeakyIntegrateAndFire(steps=50, decay=1.0, slope=10)(current)
        assert spikes.sum(1)[0].tolist() == [math.floor(50 * c) for c in current[0].tolist()]

    def test_below_threshold_for_ever_is_silent(self):
        edge = 1 - 0.9  # the potential of a constant current tends to current / (1 - decay)
        spikes = LeakyIntegrateAndFire(steps=200, decay=0.9, slope=10)(torch.tensor([[0.99 * edge, 1.01 * edge]]))
        assert not spikes[..., 0].any() and spikes[..., 1].any()

    def test_the_gradient_is_the_stand_ins(self):
        above = torch.tensor([-0.5, -0.01, 0.2, 3.0], requires_grad=True)
        LeakyIntegrateAndFire(1, 0.9, 10.0).fire(above).sum().backward()
        torch.testing.assert_close(above.grad, 1 / (1 + 10 * above.detach().abs()) ** 2)

    def test_the_last_layer_leaks(self):
        current = torch.tensor([[[1.0], [0.0], [2.0]]])
        assert LeakyMean(0.5)(current).item() == pytest.approx((1 + 0.5 + 2.25) / 3)

    def test_few_spikes_cost_nothing_more(self):
        logits, y = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64)
        spikes = torch.tensor([[0.0, 0.1, 0.05], [0.3, 0.1, 0.2]])
        loss = SparseSpikes(most=0.1, strength=50.0).loss(lambda x: (logits, spikes), logits, y)
        assert loss.tolist() == pytest.approx([math.log(4), math.log(4) + 50 * 0.1**2])

    def test_share_is_counted_at_the_neurons(self):
        torch.manual_seed(0)
        net = spiking(classes=2, inputs=4, hidden=7, steps=5)
        with torch.no_grad():
            net.current.weight.zero_()
            net.current.bias.copy_(torch.tensor([2.0, 2.0, 0, 0, 0, 0, 0]))  # two neurons that fire each step
        schema = Schema("image", "a test", (1, 2, 2))
        split = Split(np.ones((6, 1, 2, 2), np.float32), np.zeros(6, np.int64), schema, ("a", "b"), "t")
        score = spike_share(lk.wrap(net, classes=["a", "b"]), Dataset("t", split, split), None)
        assert score.value == pytest.approx(2 / 7) and score.n == 6
        assert net.train()(torch.ones(6, 1, 2, 2))[1].tolist() == pytest.approx([2 / 7] * 6)


class TestSpeakersLeftOut:
    def test_nobody_is_heard_before(self, monkeypatch):
        """Six scores and their mean take three trainings of three speakers, none on the voice that it is tested on."""
        from labkit.training import loop

        draw = np.random.default_rng(0)

        def part(n: int) -> Split:
            y = draw.integers(0, 2, n)
            x = (draw.normal(size=(n, 1, 4)) + 3 * (2 * y - 1)[:, None, None]).astype(np.float32)
            schema = Schema("series", "a test", (1, 4), groups=("speaker",))
            return Split(x, y, schema, ("a", "b"), "t", {"speaker": np.array(list("ABC"))[np.arange(n) % 3]})

        data = Dataset("t", part(90), part(30))
        recipe = Recipe(
            name="t",
            data="t",
            architecture="series_cnn",
            config={"classes": 2, "steps": 4, "widths": (4,), "kernel": 3},
            epochs=3,
            batch_size=15,
            rate=0.02,
            goals=(),
        )
        heard = []
        fit = loop.fit

        def listened(plan, split, device):
            heard.append(set(split.groups["speaker"]))
            return fit(plan, split, device=device)

        monkeypatch.setattr(loop, "fit", listened)
        model = SimpleNamespace(device="cpu")  # of the model itself only its device is asked
        scores = [speakers.LeftOut(s)(model, data, recipe) for s in "ABC"]
        mean = speakers.every_speaker_left_out(model, data, recipe)
        assert heard == [{"B", "C"}, {"A", "C"}, {"A", "B"}]
        assert [s.n for s in scores] == [40, 40, 40] and mean.n == 3
        assert mean.value == pytest.approx(np.mean([s.value for s in scores])) and mean.value > 0.9


class TestTools:
    @pytest.fixture(scope="class")
    def sound(self):
        """A network that hears, with random weights, and four clips."""
        torch.manual_seed(0)
        net = log_mel_cnn(classes=3, hop=256, bands=8, widths=(4, 6)).eval()
        x = np.random.default_rng(0).uniform(-1, 1, (4, 8000)).astype(np.float32)
        x[:, 5000:] = 0
        schema = Schema("audio", "a test", (8000,), bounds=(-1.0, 1.0))
        split = Split(x, np.array([0, 1, 2, 0]), schema, ("a", "b", "c"), "clips")
        return lk.wrap(net, classes=split.classes, bounds=(-1, 1), name="ears"), split

    def test_sound_is_drawn_as_lines_by_stretches(self, sound):
        model, split = sound
        a = lk.explain(model, split[:2], "input_x_gradient", evidence=["deletion", "randomized_weights"])
        assert a.modality == "audio" and "samples" in lk.says(a)
        figure = lk.figure(a)
        lines = [t for t in figure.data if t.name == "attribution"]
        assert [len(t.y) for t in lines] == [400, 400]
        assert np.sum(lines[1].y) == pytest.approx(a.attribution[1].sum(), rel=1e-4)
        assert np.sum(lines[0].y[250:]) == pytest.approx(a.attribution[0, 5000:].sum(), abs=1e-6)
        signal = next(t for t in figure.data if t.name == "signal")
        assert max(signal.y) == a.x[0].max() and min(signal.y) == a.x[0].min()
        assert list(lk.rows(a).columns[:3]) == ["example", "target", "sample"] and len(lk.rows(a)) == 16_000
        assert "<svg" in svg(figure, name="sound")

    def test_series_show_the_channels_that_count_most(self):
        torch.manual_seed(0)
        model = lk.wrap(series_rnn(classes=2, channels=5, hidden=4), classes=["a", "b"], padding=0, name="reader")
        x = np.random.default_rng(0).normal(size=(2, 5, 9)).astype(np.float32)
        x[0, :, 6:] = 0
        schema = Schema("series", "a test", (5, 9))
        split = Split(x, np.array([0, 1]), schema, ("a", "b"), "s")
        start = np.where(x == 0, 0, 0.1).astype(np.float32)
        a = lk.explain(model, split, "integrated_gradients", baseline=start, evidence=["deletion", "planted_truth"])
        assert a.modality == "series" and not a.attribution[0, :, 6:].any()
        figure = lk.figure(a)
        first = [t for t in figure.data if t.name.startswith("channel")][:3]
        largest = np.argsort(-np.abs(a.attribution[0]).sum(1))[:3]
        assert {t.name for t in first} == {f"channel {c}" for c in largest}
        total = next(t for t in figure.data if t.name == "attribution")
        np.testing.assert_allclose(total.y, a.attribution[0].sum(0), rtol=1e-6)
        assert list(lk.rows(a).columns[:4]) == ["example", "target", "channel", "step"]
        assert lk.explain(model, x, "saliency", evidence=[]).modality == "series"  # bare arrays too

    def test_smoothgrad_leaves_padding_alone(self):
        seen = []

        class Spy(nn.Module):
            def forward(self, x):
                seen.append(x.detach().clone())
                return x.flatten(1)[:, :2] * 3.0

        model = lk.wrap(Spy(), classes=["a", "b"], padding=0)
        x = np.array([[[1.0, -2.0, 0.0, 0.0]]], np.float32)
        lk.explain(model, x, "smoothgrad", baseline=np.array([[[0.5, 0.5, 0, 0]]], np.float32), evidence=[], samples=4)
        noisy = [row for z in seen for row in z if row[0, 0] not in (0.0, 0.5, 1.0)]
        assert len(noisy) == 4 and not any(row[0, 2:].any() for row in noisy)

    def test_occlusion_by_stretches_of_a_linear_model(self):
        torch.manual_seed(0)
        layer = nn.Linear(10, 2)
        x = torch.randn(3, 10)
        a = lk.explain(lk.wrap(layer, classes=["a", "b"]), x, "occlusion", target=1, evidence=[], window=4, stride=3)
        falls = (layer.weight[1] * x).detach().numpy()
        starts = [0, 3, 6]
        for i in range(10):
            covering = [falls[:, s : s + 4].sum(1) for s in starts if s <= i < s + 4]
            np.testing.assert_allclose(a.attribution[:, i], np.mean(covering, 0), rtol=1e-4, atol=1e-5)

    def test_a_layer_that_is_not_there_is_refused_with_those_that_are(self, sound):
        model, split = sound
        with pytest.raises(Refused, match=r"one of: .*conv1"):
            lk.explain(model, split[:2], "grad_cam", layer="conv9")

    def test_an_attack_on_sound_stays_in_its_bounds_and_is_drawn(self, sound):
        model, split = sound
        truth = lk.predict(model, split).label
        right = Split(split.x, truth, split.schema, split.classes, "right")
        record = lk.attack(model, right, "pgd", eps=0.05, seed=0)
        assert np.abs(record.adversarial).max() <= 1 and record.linf.max() <= 0.05 + 1e-6
        assert [t.type for t in lk.figure(record).data] == ["scatter"] * 3 * min(4, len(record))
        assert record.levels == 65_535  # sound is stored in 16 bits

    def test_series_without_bounds_are_not_attacked(self):
        model = lk.wrap(series_cnn(classes=2, steps=8), classes=["a", "b"])
        x = np.random.default_rng(0).normal(size=(2, 1, 8)).astype(np.float32)
        split = Split(x, np.array([0, 1]), Schema("series", "a test", (1, 8)), ("a", "b"), "s")
        with pytest.raises(Refused, match="without input bounds"):
            lk.attack(model, split, "pgd", eps=0.1)

    def test_a_header_that_begins_like_a_pickle_is_opened(self, tmp_path):
        """The first byte of a safetensors file is its header's length modulo 256, and 0x80 also begins a pickle."""
        model = lk.wrap(series_cnn(classes=2, steps=4, widths=(2,)), classes=["a", "b"])
        path, met = tmp_path / "m.safetensors", False
        for extra in range(0, 300, 8):
            named = lk.wrap(model.module, classes=["a", "b"], name="m" * (1 + extra))
            lk.models.save(named, path, "series_cnn", {"classes": 2, "steps": 4, "widths": [2]})
            met |= path.read_bytes()[0] == 0x80
            assert lk.open(path).name == named.name
        assert met
        path.write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00")
        with pytest.raises(Refused, match="pickle"):
            lk.open(path)


class TestShipped:
    @pytest.mark.parametrize("name", ["power_cnn", "vowels_rnn", "digits_spiking"])
    def test_floor(self, name):
        self.measured(name, ready(lk.zoo.data, name))

    def test_floor_of_speech(self, spoken):
        self.measured("digits_speech_cnn", spoken)

    @staticmethod
    def measured(name: str, data: Dataset) -> None:
        card = lk.zoo.card(name)
        p = lk.predict(lk.zoo.load(name), data.test)
        score, told = float(np.mean(p.label == p.y)), card["test"][0]
        assert score == pytest.approx(told["score"], abs=5e-4) and len(p) == told["n"]
        assert score >= told["floor"] >= 0.95 and told["met"]
        assert data.test.digest == card["data"]["test"]["sha256"]

    def test_spikes_are_few_by_another_count(self):
        """The shipped weights in plain NumPy: the same answers and the same share of spikes."""
        model, data = lk.zoo.load("digits_spiking"), lk.zoo.data("digits_spiking")
        w = {name: value.numpy().astype(np.float64) for name, value in model.module.state_dict().items()}
        config = lk.zoo.card("digits_spiking")["training"]["recipe"]["config"]
        current = data.test.x.reshape(500, -1) @ w["current.weight"].T + w["current.bias"]
        potential, out, total, count = np.zeros_like(current), 0.0, 0.0, 0.0
        for _ in range(config["steps"]):
            potential = config["decay"] * potential + current
            fired = potential > 1
            potential -= fired
            out = config["decay"] * out + fired @ w["synapses.weight"].T + w["synapses.bias"]
            total, count = total + out, count + fired.sum()
        share = count / current.size / config["steps"]
        told = lk.zoo.card("digits_spiking")["test"][1]
        assert share <= told["ceiling"] == 0.1 and share == pytest.approx(told["score"], abs=5e-4)
        assert np.mean(total.argmax(1) == lk.predict(model, data.test).label) > 0.995

    def test_baselines_are_days_and_steps_of_the_training_data(self):
        power, vowels = (ready(lk.zoo.data, name) for name in ("power_cnn", "vowels_rnn"))
        np.testing.assert_allclose(lk.zoo.load("power_cnn").baseline, power.train.x.mean(0), atol=1e-6)
        model = lk.zoo.load("vowels_rnn")
        steps = [row[:, (row != 0).any(0)] for row in vowels.train.x]
        np.testing.assert_allclose(model.baseline[:, 3], np.concatenate(steps, 1).mean(1), atol=1e-5)
        start = model.reference(vowels.test.x)
        assert ((start == 0) == (vowels.test.x == 0)).all()  # padding stays padding

    def test_the_speech_card_tells_every_speaker(self):
        card = lk.zoo.card("digits_speech_cnn")
        each = {t["measure"]: t for t in card["test"] if "left out" in t["measure"]}
        scores = [t["score"] for name, t in each.items() if "on the speaker" in name]
        (mean,) = (t for name, t in each.items() if "mean of all" in name)
        assert len(scores) == 6 and mean["score"] == pytest.approx(np.mean(scores), abs=1e-4)
        assert "CC BY-SA 4.0" in card["licence"]
