"""A flow from noise to small images, its velocity given by a U-Net."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from labkit.models.normalize import Normalize


def unet_flow(
    *,
    shape: Sequence[int],
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    widths: Sequence[int] = (32, 64),
    steps: int = 16,
) -> nn.Module:
    """See ``UNetFlow``."""
    return UNetFlow(shape, mean, std, widths, steps)


class UNetFlow(nn.Module):
    """A continuous flow: images are what standard normal noise becomes by following a learned velocity from time 0 to 1.

    The velocity at each point is the mean direction of all straight lines from noise to an image that pass there (flow
    matching: Lipman et al., 2022, arXiv 2210.02747; Liu, Gong and Liu, 2022, arXiv 2209.03003). It is given by a U-Net
    (Ronneberger, Fischer and Brox, 2015, arXiv 1505.04597) that works on squares of 2 x 2 pixels as channels: a
    quarter of the positions, and of the time.

    Args:
        shape: (channels, height, width) of an image; height and width are multiples of 2 ** len(widths).
        mean, std: of the training pixels; the flow ends in normalised pixels.
        widths: channels at each resolution, the finest first.
        steps: of Heun's method when sampling; each asks the network twice, the last once.
    """

    def __init__(
        self,
        shape: Sequence[int],
        mean: float | Sequence[float],
        std: float | Sequence[float],
        widths: Sequence[int],
        steps: int,
    ) -> None:
        super().__init__()
        self.noise = tuple(shape)
        self.steps = steps
        self.normalize = Normalize(mean, std, axes=2)
        channels, width = 4 * shape[0], 2 * widths[0]
        self.time = nn.Sequential(Waves(width), nn.Linear(width, width), nn.SiLU())
        self.fold = nn.PixelUnshuffle(2)
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.falling, self.rising, self.up = (nn.ModuleList() for _ in range(4))
        for i, (finer, own) in enumerate(zip((widths[0], *widths), widths)):
            self.down.append(nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(finer, own, 1)) if i else nn.Identity())
            self.up.append(nn.Sequential(nn.Conv2d(own, finer, 1), nn.Upsample(scale_factor=2)) if i else nn.Identity())
            self.falling.append(Residual(own, own, width))
            self.rising.append(Residual(2 * own, own, width))
        self.middle = Residual(widths[-1], widths[-1], width)
        self.norm = ChannelNorm(widths[0])
        self.act = nn.SiLU()
        self.head = nn.Conv2d(widths[0], channels, 3, padding=1)
        self.unfold = nn.PixelShuffle(2)

    def forward(self, x: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """(n, *shape) images, (n, *shape) standard normal noise and (n,) times in [0, 1] -> the velocity at that share
        of the line from the noise to the normalised image, and the direction of that line, both (n, *shape)."""
        end = self.normalize(x)
        share = time[:, None, None, None]
        return self.velocity((1 - share) * noise + share * end, time), end - noise

    def velocity(self, point: Tensor, time: Tensor) -> Tensor:
        """(n, *shape) points in normalised pixels and (n,) times -> (n, *shape) velocities."""
        when = self.time(time)
        h, passed = self.stem(self.fold(point)), []
        for down, block in zip(self.down, self.falling):
            h = block(down(h), when)
            passed.append(h)
        h = self.middle(h, when)
        for up, block in zip(reversed(self.up), reversed(self.rising)):
            h = up(block(torch.cat([h, passed.pop()], 1), when))
        return self.unfold(self.head(self.act(self.norm(h))))

    def draw(self, noise: Tensor) -> Tensor:
        """(n, *shape) standard normal noise -> (n, *shape) where it flows to, within 0 to 1, by Heun's method."""
        point, width = noise, 1 / self.steps
        for i in range(self.steps):
            now = noise.new_full((len(noise),), i * width)
            slope = self.velocity(point, now)
            ahead = point + width * slope
            # At time 1 the velocity is asked for where it was hardly trained: the last step is Euler's.
            last = i + 1 == self.steps
            point = ahead if last else point + width / 2 * (slope + self.velocity(ahead, now + width))
        return (point * self.normalize.std + self.normalize.mean).clamp(0, 1)


class Residual(nn.Module):
    """Two convolutions beside a shortcut, with what the time adds to every position between them. It starts as the
    shortcut alone, so that a second normalisation is not needed."""

    def __init__(self, before: int, after: int, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(before)
        self.act1 = nn.SiLU()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.time = nn.Linear(width, after)
        self.act2 = nn.SiLU()
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, when: Tensor) -> Tensor:
        h = self.conv1(self.act1(self.norm(x))) + self.time(when)[:, :, None, None]
        return self.shortcut(x) + self.conv2(self.act2(h))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position (Ba, Kiros and Hinton, 2016, arXiv 1607.06450)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Waves(nn.Module):
    """A time in [0, 1] as sines and cosines of periods from 2 down to 1/50 (Vaswani et al., 2017, arXiv 1706.03762)."""

    rates: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("rates", torch.logspace(0, 2, width // 2) * math.pi, persistent=False)

    def forward(self, time: Tensor) -> Tensor:
        angle = time[:, None] * self.rates
        return torch.cat([angle.sin(), angle.cos()], 1)
