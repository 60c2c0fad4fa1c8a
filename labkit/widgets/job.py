"""Long work beside a live notebook: a bar, the time left, and a Stop that answers.

The work runs in a thread that only writes plain attributes. Widgets are changed on the kernel's main loop alone, ten
times a second, since ipykernel decides by its version where a widget's callback runs (ipykernel >= 7.4 is needed for
Stop to get through while a cell waits). Outside a notebook, where no loop runs, the work is done at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as W

from labkit.core import progress
from labkit.core.refused import Refused
from labkit.widgets.text import Text

_PERIOD = 0.1
_COLOURS = {"done": "success", "stopped": "warning", "refused": "warning", "failed": "danger"}
# Methods hang hooks on the model while they run, so two jobs on one model must not overlap.
_turn = threading.Lock()


class Stopped(BaseException):
    """Raised inside the work after Stop. Not an Exception, so that no method can take it for a failure of its own."""


class Job(W.HBox):
    """Run, Stop and how far it is.

    Args:
        work: makes the job: called on the main loop when it starts, it returns the function to run in the thread.
        show: called on the main loop with the result.
        fail: called on the main loop with the exception, when there was one.
    """

    def __init__(
        self,
        work: Callable[[], Callable[[], Any]],
        show: Callable[[Any], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._work, self._show, self._fail = work, show, fail
        self.start = W.Button(description="Run", button_style="primary", tooltip="run with these settings")
        self.halt = W.Button(description="Stop", disabled=True, tooltip="stop after the step under way")
        self.bar = W.FloatProgress(max=1, layout=W.Layout(width="12em"))
        self.text = Text("ready", hook="lk-progress")
        super().__init__(
            [self.start.add_class("lk-run"), self.halt.add_class("lk-stop"), self.bar, self.text],
            layout=W.Layout(flex_flow="row wrap", align_items="center"),
        )
        self.start.on_click(lambda _: self.run())
        self.halt.on_click(lambda _: self.stop())
        self.state = "ready"
        self._again = False
        self._wanted = threading.Event()
        self._ended = threading.Event()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def run(self) -> None:
        """Start; when work is under way it is stopped, and started again with the settings as they are then."""
        if self.state == "running":
            self._again = True
            self._wanted.set()
            return
        self.state, self._again = "running", False
        self._wanted.clear()
        self._ended.clear()
        self._at, self._began = ("starting", 0, 1), time.monotonic()
        self._left = progress.Left()
        self._result: Any = None
        self._error: BaseException | None = None
        self.start.disabled, self.halt.disabled, self.bar.bar_style = True, False, ""
        try:
            function = self._work()
        except Refused as error:
            self._error = error
            self._finish()
            return
        if self._loop is None:
            self._run(function)
            self._finish()
            return
        threading.Thread(target=self._run, args=(function,), daemon=True, name="labkit-job").start()
        asyncio.run_coroutine_threadsafe(self._follow(), self._loop)

    def stop(self) -> None:
        """Ask the work to stop at its next step."""
        self._again = False
        self._wanted.set()
        self.text.say("stopping")

    def _run(self, function: Callable[[], Any]) -> None:
        """In the thread: wait for a turn, work, and leave the outcome in plain attributes."""
        try:
            while not _turn.acquire(timeout=_PERIOD):
                self._hear("waiting for another panel", 0, 1)
            try:
                with progress.listening(self._hear):
                    self._result = function()
            finally:
                _turn.release()
        except BaseException as error:
            self._error = error
        self._ended.set()

    def _hear(self, what: str, done: int, total: int) -> None:
        self._at = (what, done, total)
        if self._wanted.is_set():
            raise Stopped

    async def _follow(self) -> None:
        """On the main loop: say how far it is until it has ended."""
        while not self._ended.is_set():
            what, done, total = self._at
            self.bar.value = done / max(total, 1)
            left = self._left(what, done, total)
            spent = f"{time.monotonic() - self._began:.0f} s"
            self.text.say(f"{what}: {done:,} of {total:,}, {spent}{', ' + left if left else ''}")
            await asyncio.sleep(_PERIOD)
        self._finish()

    def _finish(self) -> None:
        if self._error is None and not self._again:
            try:
                self._show(self._result)
            except Exception as unseen:  # it would be lost in a task of the loop
                self._error = unseen
        error, seconds = self._error, time.monotonic() - self._began
        self.state = _state(error)
        self.start.disabled, self.halt.disabled = False, True
        self.bar.value = 1 if error is None else self.bar.value
        self.bar.bar_style = _COLOURS[self.state]
        self.text.say(f"{self.state} after {seconds:.1f} s")
        if self._again:
            self.run()
        elif error is not None and self.state != "stopped":
            self._fail(error)


def _state(error: BaseException | None) -> str:
    if error is None:
        return "done"
    return "stopped" if isinstance(error, Stopped) else "refused" if isinstance(error, Refused) else "failed"
