"""Controls come from signatures; long work stops, reports and never touches a widget from its thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import ipywidgets as W
import pytest

from labkit.core import progress
from labkit.core.method import Range, params
from labkit.core.refused import Refused
from labkit.widgets.controls import Form, control, slider
from labkit.widgets.job import Job
from labkit.widgets.text import Text

HOSTILE = "x<img src=x onerror=alert(1)> </div><script>alert(2)</script> $a$"


def tuned(
    *,
    steps: Annotated[int, Range(1, 500), "gradient steps"] = 40,
    rate: Annotated[float, Range(0.001, 10, log=True), "step size"] = 0.1,
    share: Annotated[float, Range(0, 1), "share of the budget"] = 0.25,
    loss: Annotated[Literal["margin", "cross_entropy"], "what is climbed"] = "margin",
    start: Annotated[bool, "begin at a random point"] = True,
    note: Annotated[str, "a word"] = "none",
    extra: Annotated[list[int] | None, "no control fits"] = None,
) -> None:
    """A method with a tunable of every kind."""


PARAMS = {p.name: p for p in params(tuned)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("steps", W.BoundedIntText),
        ("rate", W.BoundedFloatText),
        ("loss", W.Dropdown),
        ("start", W.Checkbox),
        ("note", W.Text),
    ],
)
def test_a_tunable_becomes_its_control(name: str, kind: type) -> None:
    made = control(PARAMS[name])
    assert type(made) is kind
    assert made.value == PARAMS[name].default and made.description == name and made.tooltip == PARAMS[name].help
    assert f"lk-{name}" in made._dom_classes


def test_a_number_cannot_leave_its_range() -> None:
    field = control(PARAMS["steps"])
    field.value = 10_000
    assert field.value == 500


@pytest.mark.parametrize(("name", "moved"), [("steps", 120), ("share", 0.5), ("rate", 1.0)])
def test_slider_and_field_follow_each_other(name: str, moved: float) -> None:
    field = control(PARAMS[name])
    handle = slider(field, PARAMS[name])
    handle.value = moved
    assert field.value == pytest.approx(moved) and isinstance(field.value, PARAMS[name].type)
    field.value = PARAMS[name].default
    assert handle.value == pytest.approx(PARAMS[name].default)


def test_a_form_holds_what_a_method_takes_and_tells_of_each_change_once() -> None:
    told: list[int] = []
    form = Form(PARAMS.values(), lambda: told.append(1))
    assert form.values == {n: p.default for n, p in PARAMS.items() if n != "extra"}
    line = form.children[0].children
    line[1].value = 60
    assert form.values["steps"] == 60 and len(told) == 1


def test_text_is_shown_and_never_run() -> None:
    shown = Text(HOSTILE)
    assert "<img" not in shown.value and "<script" not in shown.value and "&lt;img" in shown.value
    form = Form([PARAMS["steps"].__class__("n", int, 1, Range(0, 2), help=HOSTILE)], lambda: None)
    assert all("<img" not in w.value for w in form.children[0].children if isinstance(w, W.HTML))


class Seen:
    """What a job showed, and what it failed with."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.failed: list[BaseException] = []

    def job(self, work: Callable[[], Callable[[], Any]]) -> Job:
        return Job(work, self.shown.append, self.failed.append)


async def ended(job: Job) -> None:
    """Wait until the job has no work under way, or ten seconds have passed."""
    done = asyncio.Event()
    job.start.observe(lambda change: change["new"] or done.set(), "disabled")
    if job.start.disabled:
        await asyncio.wait_for(done.wait(), 10)


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_without_a_loop_the_work_is_done_at_once() -> None:
    seen = Seen()
    job = seen.job(lambda: lambda: 6 * 7)
    job.start.click()
    assert seen.shown == [42] and job.state == "done" and not job.start.disabled and job.halt.disabled


@pytest.mark.parametrize("where", ["before", "inside"])
def test_a_refusal_is_handed_on(where: str) -> None:
    def refuse() -> Any:
        raise Refused("this", "that", "another")

    seen = Seen()
    job = seen.job(refuse if where == "before" else lambda: refuse)
    job.run()
    assert job.state == "refused" and isinstance(seen.failed[0], Refused) and not seen.shown


def test_a_result_that_cannot_be_shown_fails_visibly() -> None:
    failed: list[BaseException] = []
    job = Job(lambda: lambda: 0, lambda result: 1 / result, failed.append)
    job.run()
    assert job.state == "failed" and isinstance(failed[0], ZeroDivisionError) and not job.start.disabled


def test_stop_ends_the_work_at_its_next_step() -> None:
    async def test() -> None:
        seen, begun = Seen(), threading.Event()

        def work() -> None:
            begun.set()
            for i in range(10**9):
                progress.step("counting", i, 10**9)

        job = seen.job(lambda: work)
        job.run()
        await asyncio.to_thread(begun.wait, 10)
        assert job.start.disabled and not job.halt.disabled
        job.halt.click()
        await ended(job)
        assert job.state == "stopped" and not seen.shown and not seen.failed

    in_a_loop(test)


def test_widgets_are_changed_on_the_main_loop_alone() -> None:
    async def test() -> None:
        seen, threads = Seen(), set()
        gate = threading.Event()

        def work() -> str:
            gate.wait(10)
            progress.step("working", 1, 2)
            return threading.current_thread().name

        job = seen.job(lambda: work)
        for widget in (job.text, job.bar):
            widget.observe(lambda _: threads.add(threading.current_thread()), "value")
        job.run()
        gate.set()
        await ended(job)
        assert threads == {threading.main_thread()}
        assert seen.shown == ["labkit-job"]

    in_a_loop(test)


def test_a_change_under_way_starts_again_with_the_newest_settings() -> None:
    async def test() -> None:
        seen, setting, gate = Seen(), ["old"], threading.Event()

        def work() -> Callable[[], str]:
            now = setting[0]

            def run() -> str:
                gate.wait(10)
                progress.step("working", 0, 1)
                return now

            return run

        job = seen.job(work)
        job.run()
        for setting[0] in ("newer", "newest"):
            job.run()
        gate.set()
        await ended(job)
        while job.state == "running":
            await ended(job)
        assert seen.shown == ["newest"]

    in_a_loop(test)


def test_two_jobs_take_turns() -> None:
    async def test() -> None:
        seen, inside, gate, order = Seen(), threading.Event(), threading.Event(), []

        def long() -> None:
            inside.set()
            gate.wait(10)
            order.append("long")

        first, second = seen.job(lambda: long), seen.job(lambda: lambda: order.append("short"))
        first.run()
        await asyncio.to_thread(inside.wait, 10)
        second.run()
        while second.state == "running" and "waiting" not in second.text.content:
            await asyncio.sleep(0)
        assert order == []
        gate.set()
        await ended(second)
        assert order == ["long", "short"]

    in_a_loop(test)
