"""A tunable becomes a labelled control that a keyboard reaches; its range, default and help come from the signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import log10
from typing import Any

import ipywidgets as W

from labkit.core.method import Param
from labkit.widgets.text import Text

_NUMBERS = {
    int: (W.IntText, W.BoundedIntText, W.IntSlider),
    float: (W.FloatText, W.BoundedFloatText, W.FloatSlider),
}


def control(param: Param) -> Any:
    """The control that holds one tunable's value, or None when no control fits its type.

    A choice becomes a list, a yes or no a box, and a number a field that refuses what is out of range.
    """
    look = {
        "description": param.name.replace("_", " "),
        "tooltip": param.help,
        "style": {"description_width": "9em"},
        "layout": W.Layout(width="17em"),
    }
    if param.choices:
        made = W.Dropdown(
            options=[(str(c) or "chosen by itself", c) for c in param.choices], value=param.default, **look
        )
    elif param.type is bool:
        made = W.Checkbox(value=param.default, **look | {"layout": W.Layout(width="auto", min_width="17em")})
    elif param.type in _NUMBERS:
        free, bounded, _ = _NUMBERS[param.type]
        look["continuous_update"] = False
        made = bounded(value=param.default, **_limits(param), **look) if param.range else free(param.default, **look)
    elif param.type is str:
        made = W.Text(value=param.default, continuous_update=False, **look)
    else:
        return None
    return made.add_class(f"lk-{param.name}")


def slider(field: Any, param: Param) -> Any:
    """A slider that follows a number's field, for the mouse; None when there is no range.

    The field stays, because a slider's handle has no name that a screen reader could say.
    """
    if param.type not in _NUMBERS or param.range is None:
        return None
    look = {"readout": False, "continuous_update": False, "layout": W.Layout(width="14em")}
    if param.range.log and param.range.low > 0:
        made = W.FloatLogSlider(field.value, min=log10(param.range.low), max=log10(param.range.high), **look)
    else:
        made = _NUMBERS[param.type][2](field.value, **_limits(param), **look)
    made.observe(lambda change: setattr(field, "value", float(f"{change['new']:.4g}")), "value")
    field.observe(lambda change: setattr(made, "value", change["new"]), "value")
    return made.add_class(f"lk-{param.name}-slider")


def _limits(param: Param) -> dict[str, float]:
    """A number's ends, and a step of about a hundredth of what lies between them."""
    assert param.range is not None
    low, high = param.range.low, param.range.high
    step = 1 if param.type is int else 10 ** round(log10((high - low) / 100))
    return {"min": param.type(low), "max": param.type(high), "step": step}


class Form(W.VBox):
    """The controls of several tunables, one a line, with their help.

    Args:
        params: the tunables; those of a type that no control fits keep their default.
        changed: called without arguments when a value has changed.
    """

    def __init__(self, params: Iterable[Param], changed: Callable[[], None]) -> None:
        self._fields: dict[str, Any] = {}
        lines = []
        for param in params:
            field = control(param)
            if field is None:
                continue
            self._fields[param.name] = field
            field.observe(lambda _: changed(), "value")
            beside = [slider(field, param), Text(param.help, quiet=True) if param.help else None]
            line = [field, *(part for part in beside if part is not None)]
            lines.append(W.HBox(line, layout=W.Layout(flex_flow="row wrap", align_items="center")))
        super().__init__(lines)

    @property
    def values(self) -> dict[str, Any]:
        """What the controls hold, by name."""
        return {name: field.value for name, field in self._fields.items()}
