"""Long work says how far it is, and can be stopped. Who listens is chosen by the caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
_listener: ContextVar[Listener | None] = ContextVar("labkit_progress", default=None)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Within this context, ``listener(what, done, total)`` hears of every step. It may raise to stop the work."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def step(what: str, done: int, total: int) -> None:
    """Say that ``done`` of ``total`` is finished."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, total)


class Left:
    """Tells from the steps of one piece of work after another how long it will still take, if it goes on as it went."""

    def __init__(self) -> None:
        self._what = ""
        self._began = (0.0, 0)

    def __call__(self, what: str, done: int, total: int) -> str:
        """Such as "about 40 s left" or "about 3 min left"; empty before there is anything to tell it from."""
        now = time.monotonic()
        if what != self._what or done < self._began[1]:
            self._what, self._began = what, (now, done)
        seconds, steps = now - self._began[0], done - self._began[1]
        if seconds < 1 or not steps:
            return ""
        return f"about {duration(seconds * (total - done) / steps)} left"


def duration(seconds: float) -> str:
    """As a person says it: "5 s", "3 min", "2.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
