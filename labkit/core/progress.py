"""Long work says how far it is, and can be stopped. Who listens is chosen by the caller."""

from __future__ import annotations

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
