"""What attacks that move, redraw or drown a row share: looking through many tries, and moving images and sound."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.attacks._search import Best, drawn
from labkit.attacks._suited import suited
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier

Propose = Callable[[Tensor, int], Tensor]
Move = Callable[[Tensor, Tensor], Tensor]


def require(schema: Schema, attack: str, *modalities: str) -> None:
    """Refuse rows that the attack means nothing to."""
    if schema.modality not in modalities:
        given, instead = f"rows that are {schema.modality}", f"rows that are {' or '.join(modalities)}"
        raise Refused(f"the attack {attack}", given, f"{instead}, or {suited(schema)}")


def worst(model: Classifier, best: Best, propose: Propose, tries: int, batch_size: int) -> Tensor:
    """Ask about ``propose(rows, k)`` for k below ``tries``, on the rows that still stand.

    Where few rows are left, several tries share a forward pass; they count in their order all the same, so that the
    batch size changes nothing.

    Returns:
        (n,) the try that became each row's best point; -1 where none was better than what stood before.
    """
    chosen, done = torch.full_like(best.y, -1), 0
    while done < tries and len(best.rows):
        rows = best.rows
        together = range(done, min(tries, done + max(1, batch_size // len(rows))))
        points = torch.cat([propose(rows, k) for k in together])
        with torch.no_grad():
            logits = model(points)
        for k, some, answers in zip(together, points.split(len(rows)), logits.split(len(rows))):
            asked, standing = best.rows, torch.isin(rows, best.rows)
            before = best.margin[asked]
            best.offer(some[standing], answers[standing])
            chosen[asked[best.margin[asked] > before]] = k
        done = together.stop
    return chosen


def refined(
    model: Classifier, x: Tensor, y: Tensor, move: Move, starts: Tensor, generator: Draws, rounds: int, batch_size: int
) -> Tensor:
    """The most adversarial of ``move(rows, parameters)``, parameters from -1 to 1.

    First all of ``starts`` (tries, n, parameters), then in each round as many random ones around each row's best, in a
    neighbourhood that halves every time.
    """
    best, found, every = Best(x, y), torch.zeros_like(starts[0]), torch.arange(len(x), device=x.device)
    tries = starts
    for turn in range(rounds + 1):
        chosen = worst(model, best, _moving(x, move, tries), len(tries), batch_size)
        found = torch.where(chosen[:, None] >= 0, tries[chosen.clamp_min(0), every], found)
        around = uniform(generator.spawn(turn), x, len(starts), found.shape[1])
        tries = (found + 0.5 ** (turn + 1) * around).clamp(-1, 1)
    return best.points


def _moving(x: Tensor, move: Move, tries: Tensor) -> Propose:
    return lambda rows, k: move(x[rows], tries[k][rows])


def uniform(generator: Draws, like: Tensor, tries: int, parameters: int) -> Tensor:
    """(tries, n, parameters) uniform between -1 and 1."""
    return 2 * drawn(generator.uniform(tries, parameters), like).to(like.dtype).transpose(0, 1) - 1


def turned(
    x: Tensor, angle: Tensor, down: Tensor, across: Tensor, zoom: Tensor, outside: float | None = None
) -> Tensor:
    """Images (n, channels, height, width) turned about their middle, zoomed, and then moved; bilinear.

    Args:
        angle: (n,) radians, clockwise on the screen.
        down, across: (n,) in pixels.
        zoom: (n,) above 1 enlarges.
        outside: what enters at the rim; None repeats the pixels at the border.
    """
    height, width = x.shape[2:]
    row = torch.arange(height, device=x.device) - (height - 1) / 2 - down[:, None]
    col = torch.arange(width, device=x.device) - (width - 1) / 2 - across[:, None]
    cos, sin = (angle.cos() / zoom)[:, None, None], (angle.sin() / zoom)[:, None, None]
    from_row = cos * row[:, :, None] - sin * col[:, None, :]
    from_col = sin * row[:, :, None] + cos * col[:, None, :]
    grid = torch.stack([2 * from_col / width, 2 * from_row / height], -1).to(x.dtype)
    base, mode = (0.0, "border") if outside is None else (outside, "zeros")
    return F.grid_sample(x - base, grid, mode="bilinear", padding_mode=mode, align_corners=False) + base


def read_at(x: Tensor, places: Tensor) -> Tensor:
    """Rows (n, time) or (n, channels, time) read at (n, time) places in samples, straight lines between samples."""
    last = x.shape[-1] - 1
    places = places.clamp(0, last)
    left = places.floor().clamp(max=max(last - 1, 0))
    here, after = (_taken(x, (left.long() + k).clamp(max=last)) for k in (0, 1))
    share = (places - left).to(x.dtype)
    return torch.lerp(here, after, share if x.ndim == 2 else share[:, None])  # exact at both ends


def _taken(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(-1, (index if x.ndim == 2 else index[:, None]).expand_as(x))


def shifted(x: Tensor, shift: Tensor, edge: str) -> Tensor:
    """Rows moved later by (n,) whole samples; "circular", or what enters is "silence" (0) or the "edge" value."""
    places = torch.arange(x.shape[-1], device=x.device) - shift[:, None]
    if edge == "circular":
        return _taken(x, places % x.shape[-1])
    kept = places.clamp(0, x.shape[-1] - 1)
    moved = _taken(x, kept)
    if edge == "edge":
        return moved
    return torch.where((places == kept) if x.ndim == 2 else (places == kept)[:, None], moved, 0.0)


def within(points: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    """The points cut to the bounds, where there are any."""
    return points if bounds is None else points.clamp(*bounds)


def fits(eps: float, length: int) -> int:
    """How many of ``length`` a share of ``eps`` allows, rounded down but for what rounding errors take away."""
    return min(length, int(eps * length + 1e-6))
