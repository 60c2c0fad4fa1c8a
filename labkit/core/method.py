"""What may be tuned in a method, and what was.

A method is a plain function. Arguments without a default are supplied by the lab; annotated keyword-only arguments
with a default are tunables. The signature is the single source for widget controls, command-line options, the
recorded Spec and the error for a misspelt option.
"""

from __future__ import annotations

import functools
import inspect
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal

from labkit.core.refused import Refused, unknown


@dataclass(frozen=True)
class Range:
    """The values a number may take, both ends included; ``log`` asks for a logarithmic control."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Listed:
    """A name that the model lists: ``what`` says in which of its lists, such as "layers"."""

    what: str


@dataclass(frozen=True)
class Param:
    """One tunable: its name, type, default, and either a range or a set of choices; ``listed`` says what list of the
    model holds its choices, where it is one."""

    name: str
    type: type
    default: Any
    range: Range | None = None
    choices: tuple[Any, ...] = ()
    help: str = ""
    listed: str = ""

    def parse(self, value: Any, owner: str) -> Any:
        """``value`` as this parameter's type; refused when it is of another type or out of range. Text is converted."""
        asked = f"{owner}({self.name}={value!r})"
        if self.choices:
            if value in self.choices:
                return value
            raise Refused(asked, repr(value), f"one of {', '.join(map(repr, self.choices))}")
        try:
            parsed = self._convert(value)
        except (TypeError, ValueError):
            raise Refused(asked, f"{type(value).__name__} {value!r}", f"a value of type {self.type.__name__}") from None
        if self.range and not self.range.low <= parsed <= self.range.high:
            raise Refused(asked, repr(parsed), f"a value from {self.range.low:g} to {self.range.high:g}")
        return parsed

    def _convert(self, value: Any) -> Any:
        if self.type is bool:
            if isinstance(value, str):
                return (
                    {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]
                    if value.lower() in {"true", "1", "yes", "false", "0", "no"}
                    else _fail(value)
                )
            return value if isinstance(value, bool) else _fail(value)
        if isinstance(value, bool):
            return _fail(value)
        if self.type is int:
            number = float(value)
            return int(number) if number == int(number) else _fail(value)
        if self.type is float:
            number = float(value)
            return number if math.isfinite(number) else _fail(value)
        return value if isinstance(value, self.type) else _fail(value)


def _fail(value: Any) -> Any:
    raise ValueError(value)


@dataclass(frozen=True)
class Spec:
    """A method together with every tunable's value. Its text is the call that made it."""

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"


def params(method: Callable[..., Any]) -> tuple[Param, ...]:
    """The tunables of a method, in the order of its signature."""
    hints = _hints(method)
    return tuple(
        _param(name, hints[name], p.default)
        for name, p in inspect.signature(method).parameters.items()
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty and name in hints
    )


def _param(name: str, hint: Any, default: Any) -> Param:
    extras: tuple[Any, ...] = ()
    if typing.get_origin(hint) is Annotated:
        hint, *rest = typing.get_args(hint)
        extras = tuple(rest)
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    kind = type(default) if choices else hint
    return Param(
        name,
        kind if isinstance(kind, type) else object,
        default,
        next((e for e in extras if isinstance(e, Range)), None),
        choices,
        next((e for e in extras if isinstance(e, str)), ""),
        next((e.what for e in extras if isinstance(e, Listed)), ""),
    )


def needs(method: Callable[..., Any]) -> tuple[str, ...]:
    """The names that the lab must supply: the arguments without a default."""
    return tuple(
        n
        for n, p in inspect.signature(method).parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    )


def choices(method: Callable[..., Any], name: str) -> tuple[Any, ...]:
    """The values that a supplied argument may take, when the method annotates it with ``Literal``; otherwise empty."""
    hint = _hints(method).get(name)
    hint = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def promises(method: Callable[..., Any]) -> tuple[str, ...]:
    """What a method says of its result: the texts in its annotated return type, such as "complete" or "lower"."""
    hint = _hints(method).get("return")
    return tuple(e for e in getattr(hint, "__metadata__", ()) if isinstance(e, str))


def range_of(method: Callable[..., Any], otherwise: tuple[float, float]) -> tuple[float, float]:
    """The ends of the ``Range`` in a method's annotated return type; ``otherwise`` where it states none."""
    stated = getattr(_hints(method).get("return"), "__metadata__", ())
    return next(((e.low, e.high) for e in stated if isinstance(e, Range)), otherwise)


def _hints(method: Callable[..., Any]) -> dict[str, Any]:
    """What a method's arguments are annotated with; of a partial one or a callable object, what its function's are."""
    while isinstance(method, functools.partial):
        method = method.func
    written = inspect.isroutine(method) or inspect.isclass(method)
    return typing.get_type_hints(method if written else type(method).__call__, include_extras=True)


def bind(kind: str, name: str, method: Callable[..., Any], options: Mapping[str, Any]) -> Spec:
    """A Spec with every tunable filled in; a misspelt, mistyped or out-of-range option is refused."""
    known = {p.name: p for p in params(method)}
    for option in options:
        if option not in known:
            raise unknown(f"{name}({option}=...)", option, known)
    values = {p.name: p.parse(options[p.name], name) if p.name in options else p.default for p in known.values()}
    return Spec(kind, name, values)


def call(method: Callable[..., Any], spec: Spec, offered: Mapping[str, Any]) -> Any:
    """Call a method with what it names among ``offered`` and with its tunables."""
    wanted = needs(method)
    missing = [n for n in wanted if n not in offered]
    if missing:
        raise Refused(
            f"{spec.name} with arguments {', '.join(wanted)}",
            f"nothing offers {', '.join(missing)} here; on offer: {', '.join(sorted(offered))}",
            "a method that names only what is on offer, or gives the others a default",
        )
    return method(**{n: offered[n] for n in wanted}, **spec.options)
