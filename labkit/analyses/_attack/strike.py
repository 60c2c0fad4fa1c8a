"""One call of an attack: what it is offered, its result brought within the budget, and the model asked again."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from labkit.analyses._attack.chosen import Chosen
from labkit.analyses._attack.foreign import in_a_room_of_its_own, say_what_came_back
from labkit.analyses._attack.ground import Ground
from labkit.analyses._attack.shown import Shown
from labkit.analyses._attack.ways import Way, as_it_is
from labkit.analyses._guard import batched, logits
from labkit.core import method
from labkit.core.refused import Refused

LOOKS = 5


@dataclass(frozen=True)
class Strike:
    """What an attack gave for some rows: perturbed rows within budget and bounds, and the model's answers to them.

    Attributes:
        success: wrong now, by a finite answer.
        given_up: rows whose change was not within the budget; they are as they were.
        thrown_away: successes that the attack had asked about on its way and did not give back; taken all the same.
        lost: rows for which the attack gave NaN or infinite values.
    """

    x: np.ndarray
    label: np.ndarray
    success: np.ndarray
    queries: np.ndarray
    gradients: np.ndarray
    given_up: int = 0
    thrown_away: int = 0
    lost: int = 0


def strike(ground: Ground, chosen: Chosen, rows: np.ndarray, eps: float | None, *, way: Way = as_it_is) -> Strike:
    """Run an attack on some rows (positions) and ask the model again; ``way`` is how it is given gradients."""
    run, x = ground.run, ground.x[rows]
    draws, fixed = ground.draws[rows], _on_offer(ground, chosen, eps)
    # How many answers and gradients each row took: those of its part of the rows, shared evenly.
    spent = np.zeros((2, len(rows)))
    caught = x.copy(), np.full(len(rows), -np.inf, np.float32)

    def attack(part: slice) -> Tensor:
        values = _single(ground.model.tensor(x[part])).clone()
        y = ground.model.tensor(ground.y[rows][part])
        shown = Shown(ground.model, way, (values, y) if chosen.foreign else None)
        offered = {**fixed, "model": shown.classifier(), "x": values, "y": y, "generator": draws[part]}
        texts = ground.data.texts
        offered["texts"] = tuple(texts[i] for i in rows[part]) if texts else ()
        room = in_a_room_of_its_own(chosen.name, (run.seed or 0) + part.start, values.device)
        with room if chosen.foreign else nullcontext():
            found = _checked(chosen, method.call(chosen.function, chosen.spec, offered), values)
        spent[:, part] = np.array([[shown.queries], [shown.gradients]]) * ground.asks / len(values)
        if shown.best is not None:
            caught[0][part], caught[1][part] = (t.cpu().numpy() for t in shown.best)
        return found

    what = chosen.name if eps is None else f"{chosen.name} at eps {eps:g}"
    raw = batched(run, what, attack, len(rows)).numpy()
    lost = ~np.isfinite(raw).reshape(len(raw), -1).all(1)
    if lost.any():
        run.warn(
            f"the attack {what} gave values that are not finite on {lost.sum()} of {len(rows)} rows; they count as not "
            "broken"
        )
        raw[lost] = x[lost]
    if chosen.foreign:
        say_what_came_back(ground, what, rows, raw, eps)
    found = settle(ground, rows, raw, eps)
    found = replace(found, queries=spent[0], gradients=spent[1], lost=int(lost.sum()))
    return _with_thrown_away(ground, rows, found, caught, eps) if chosen.foreign else found


def _on_offer(ground: Ground, chosen: Chosen, eps: float | None) -> dict[str, Any]:
    """What every row's call is offered."""
    offered: dict[str, Any] = {
        "eps": eps,
        "norm": ground.norm,
        "bounds": ground.model.bounds,
        "batch_size": ground.run.batch_size,
        "schema": ground.data.schema,
    }
    if ground.background is not None:
        offered["background"] = _single(ground.model.tensor(ground.background.x))
    elif "background" in method.needs(chosen.function) and ground.table is None:
        instead = "background=data.train[:500]: rows of what inputs usually are"
        raise Refused(f"the attack {chosen.name}", "no background, of which it learns", instead)
    if ground.table is not None:
        offered |= ground.table.on_offer(ground.model)
    return offered


def _single(x: Tensor) -> Tensor:
    """In the precision in which attacks work, whatever the model's own; ``Shown`` hands the model its own again."""
    return x.float() if x.is_floating_point() else x


def _checked(chosen: Chosen, found: Any, values: Tensor) -> Tensor:
    if not isinstance(found, Tensor):
        kind = f"{type(found).__module__}.{type(found).__name__}".removeprefix("builtins.")
        raise Refused(f"the attack {chosen.name}", f"a result of type {kind}", "perturbed inputs as a torch.Tensor")
    if found.shape != values.shape:
        given = f"a result of shape {tuple(found.shape)} for inputs of shape {tuple(values.shape)}"
        raise Refused(f"the attack {chosen.name}", given, "perturbed inputs of the same shape")
    if found.is_floating_point() != values.is_floating_point():
        given = f"a result of type {found.dtype} for inputs of type {values.dtype}"
        raise Refused(f"the attack {chosen.name}", given, "perturbed inputs of the same type, in the data's units")
    return found.to(values.dtype)


def _with_thrown_away(
    ground: Ground, rows: np.ndarray, found: Strike, caught: tuple[np.ndarray, np.ndarray], eps: float | None
) -> Strike:
    """The successes that an attack met on its way and did not give back, where they are within the budget."""
    at = np.flatnonzero(~found.success & (caught[1] > 0))
    if not len(at):
        return found
    again = settle(ground, rows[at], caught[0][at], eps)
    at, kept = at[again.success], again.success
    x, label, success = found.x.copy(), found.label.copy(), found.success.copy()
    x[at], label[at], success[at] = again.x[kept], again.label[kept], True
    return replace(found, x=x, label=label, success=success, thrown_away=len(at))


def refuse_without_values(chosen: Chosen, lost: int, tried: int) -> None:
    """Refuse an attack that gave nothing finite: rows that it left alone would look as if they had stood."""
    if tried and lost == tried:
        given = f"values that are not finite (NaN or infinite) on all {tried} rows"
        raise Refused(f"the attack {chosen.name}", given, "an attack that returns perturbed inputs as finite numbers")


def settle(ground: Ground, rows: np.ndarray, raw: np.ndarray, eps: float | None) -> Strike:
    """Perturbed rows brought within the budget and the bounds, and what the model answers to them.

    Answers that are not finite are labelled -1 and are no success. The rows are ones that were right before.
    """
    kept, bad = ground.threat.keep(ground, rows, raw, np.inf if eps is None else eps)
    label = answers(ground, kept)
    success, none = (label != ground.y[rows]) & (label >= 0) & ~bad, np.zeros(len(rows))
    return Strike(kept, label, success, none, none, given_up=int(bad.sum()))


def answers(ground: Ground, x: np.ndarray) -> np.ndarray:
    """(n,) predicted classes; -1 where the answer is not finite. A model that answers at random is asked ``LOOKS`` times
    as often as an attack asks it: luck in the search must not count."""
    looks = 1 if ground.asks == 1 else LOOKS
    z = np.mean([logits(ground.run, ground.model, x, "ask again") for _ in range(looks)], axis=0)
    return np.where(np.isfinite(z).all(1), z.argmax(1), -1).astype(np.int64)


def grid_levels(ground: Ground) -> int:
    """Into how many steps the data divide their range: the grid on which they can be stored; 0 where there is no range.
    Beyond 8 bits images take 255, and rows (n, values), such as sound, 65,535."""
    x, bounds = ground.x, ground.model.bounds
    if bounds is None or "continuous" not in ground.model.capabilities:
        return 0
    unit = (x[:256].astype(np.float64) - bounds[0]) / (bounds[1] - bounds[0])
    values = np.unique(unit.round(6))
    for levels in (1, 2, 3, 4, 7, 8, 10, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255):
        if np.abs(values * levels - np.round(values * levels)).max() < 1e-3:
            return levels
    return 65_535 if x.ndim == 2 else 255


def stored(ground: Ground, x: np.ndarray, success: np.ndarray, levels: int) -> np.ndarray:
    """(n,) successes that are still ones after rounding to the data's grid; all of them where it has none."""
    kept = success.copy() if not levels else np.zeros(len(x), bool)
    rows = np.flatnonzero(success)
    if levels and len(rows):
        low = ground.bounds[0]
        rounded = low + np.round((x[rows] - low) / ground.span * levels) / levels * ground.span
        label = answers(ground, rounded.astype(x.dtype))
        kept[rows] = (label != ground.y[rows]) & (label >= 0)
    return kept
