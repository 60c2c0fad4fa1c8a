"""A convolutional network that hears: waveforms in, and the log-mel spectrogram is its first layer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from labkit.models.normalize import Normalize

FLOOR = 1e-5  # power below which a band counts as silent; speech with a peak of 1 has about 1


def log_mel_cnn(
    *,
    classes: int,
    rate: int = 8000,
    window: int = 256,
    hop: int = 100,
    bands: int = 40,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    widths: Sequence[int] = (24, 48, 64),
    hidden: tuple[int, int] = (0, 0),
    dropout: float = 0.0,
) -> nn.Module:
    """Log-mel bands of a waveform (n, samples); convolutions, each followed by pooling, batch normalisation and ReLU;
    the greatest value over time of each channel and row of bands; one linear layer.

    Silence before or after a word is never its greatest value, so where in the clip a word stands matters little.

    Args:
        classes: how many outputs.
        rate, window, hop, bands: see ``LogMel``.
        mean, std: of the training clips' bands.
        widths: output channels of each block; each block halves bands and frames.
        hidden: most bands and frames that ``Mask`` covers while training.
        dropout: before the last layer, while training.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(log_mel=LogMel(rate, window, hop, bands))
    layers["normalize"] = Normalize(mean, std, axes=1)
    layers["mask"] = Mask(*hidden)
    layers["channel"] = nn.Unflatten(1, (1, bands))
    for i, (before, after) in enumerate(zip((1, *widths), widths), start=1):
        layers[f"conv{i}"] = nn.Conv2d(before, after, 3, padding=1, bias=False)
        layers[f"pool{i}"] = nn.MaxPool2d(2)
        layers[f"norm{i}"] = nn.BatchNorm2d(after)
        layers[f"relu{i}"] = nn.ReLU()
    rows = bands // 2 ** len(widths)
    layers["loudest"] = nn.AdaptiveMaxPool2d((rows, 1))
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = nn.Dropout(dropout)
    layers["head"] = nn.Linear(widths[-1] * rows, classes)
    return nn.Sequential(layers)


class LogMel(nn.Module):
    """The natural logarithm of a waveform's power in mel bands: (n, samples) -> (n, bands, frames).

    Power is that of a Hann-windowed Fourier transform, a mean over the window's samples, so it does not depend on the
    window's length. Bands are triangles, equally wide in mel = 2595 log10(1 + f / 700) (D. O'Shaughnessy, 1987) from
    0 Hz to half the rate. Nothing here is trained, and gradients reach the waveform.

    Args:
        rate: samples a second.
        window, hop: samples of a frame, and from the beginning of one frame to the next.
        bands: how many.
    """

    taper: Tensor
    triangles: Tensor

    def __init__(self, rate: int, window: int, hop: int, bands: int) -> None:
        super().__init__()
        self.window, self.hop = window, hop
        taper = torch.hann_window(window, dtype=torch.float64)
        self.register_buffer("taper", (taper / taper.square().sum().sqrt()).float(), persistent=False)
        self.register_buffer("triangles", mel_triangles(rate, window, bands).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # a logarithm of powers rounded to eight bits is noise
            frames = x.unfold(1, self.window, self.hop) * self.taper
            spectrum = torch.view_as_real(torch.fft.rfft(frames))
            power = spectrum.square().sum(-1) @ self.triangles
            return (power + FLOOR).log().transpose(1, 2)


def mel_triangles(rate: int, window: int, bands: int) -> Tensor:
    """(window // 2 + 1, bands) float64 weights of each frequency in each band; a band's peak is 1."""
    top = 2595 * torch.log10(torch.tensor(1 + rate / 2 / 700, dtype=torch.float64))
    corners = 700 * (10 ** (torch.linspace(0, 1, bands + 2, dtype=torch.float64) * top / 2595) - 1)
    frequency = torch.linspace(0, rate / 2, window // 2 + 1, dtype=torch.float64)[:, None]
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    return torch.minimum((frequency - low) / (peak - low), (high - frequency) / (high - peak)).clamp_min(0)


class Mask(nn.Module):
    """While training, a run of bands and a run of frames of each clip are set to 0, which is their mean.

    How many and where is drawn for each clip anew: none to ``bands`` and none to ``frames`` (SpecAugment, Park et al.,
    2019, arXiv 1904.08779).
    """

    def __init__(self, bands: int, frames: int) -> None:
        super().__init__()
        self.most = bands, frames

    def forward(self, x: Tensor) -> Tensor:
        """(n, bands, frames) -> the same shape."""
        if not self.training:
            return x
        for axis, most in enumerate(self.most, start=1):
            draw = torch.rand(2, len(x), 1, device=x.device)
            width = (draw[0] * (most + 1)).floor()
            start = (draw[1] * (x.shape[axis] - width + 1)).floor()
            place = torch.arange(x.shape[axis], device=x.device)
            covered = (place >= start) & (place < start + width)
            x = x.masked_fill(covered[:, :, None] if axis == 1 else covered[:, None, :], 0.0)
        return x
