"""Reports in a real browser: nothing runs, nothing is asked of the network, and all of it can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import reports

import labkit as lk

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("pages")
    lk.audit(reports.first_column(("no", "yes"), "first_column"), reports.people(300), reports.plan(), out / "sound")
    return {"sound": out / "sound", "table": reports.hostile(out / "table"), "text": reports.hostile_text(out / "text")}


@pytest.fixture
def page(watched: Any) -> Any:
    """A page that may ask for nothing but the file itself."""
    asked: list[str] = []
    watched.page.on("request", lambda request: asked.append(request.url))
    yield watched.page
    assert all(url.startswith(("file://", "data:image/png")) for url in asked), asked


@pytest.mark.parametrize("name", ["table", "text"])
def test_no_payload_runs(name: str, folders: dict[str, Path], page: Any) -> None:
    page.goto(f"file://{folders[name]}/index.html")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for element in page.query_selector_all("h1, h4, td, svg text")[:60]:
        element.dispatch_event("mouseover")
    assert page.evaluate("window.__payload") is None
    assert page.evaluate("document.scripts.length") == 0
    assert "<img src=x onerror=" in page.inner_text("h1") or "<script>" in page.inner_text("h1")


def test_the_policy_stops_what_escaping_would_let_through(
    folders: dict[str, Path], watched: Any, tmp_path: Path
) -> None:
    """The second wall: the same page with a raw payload in it, with the policy and without."""
    text = (
        (folders["sound"] / "index.html").read_text("utf-8").replace("<main>", f"<main>{reports.BREAK}{reports.IMAGE}")
    )
    start = text.index("<meta http-equiv")
    bare = text[:start] + text[text.index(">", start) + 1 :]
    (tmp_path / "walled.html").write_text(text)
    (tmp_path / "bare.html").write_text(bare)
    watched.page.goto(f"file://{tmp_path}/walled.html")
    assert watched.page.evaluate("window.__payload") is None
    watched.page.goto(f"file://{tmp_path}/bare.html")
    assert watched.page.evaluate("window.__payload") == 1, "the payload would not have run anyway"
    watched.errors.clear()  # the browser reports what the policy stopped


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out_from_the_page(scheme: str, folders: dict[str, Path], page: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"file://{folders['sound']}/index.html")
    ratio = """(selector) => {
        const parse = c => c.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 })
            .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
        const page = light(parse(getComputedStyle(document.body).backgroundColor));
        return [...document.querySelectorAll(selector)].slice(0, 80).map(e => {
            const style = getComputedStyle(e);
            const ink = light(parse(e.closest('svg') ? style.fill : style.color));
            return (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05);
        });
    }"""
    for selector in ("p", "td", "th", "a", "li", ".soft", "summary", "figcaption", "svg text:not([style*='#'])"):
        assert min(page.evaluate(ratio, selector)) >= 4.5, selector


def test_it_fits_a_phone_and_a_sheet_of_paper(folders: dict[str, Path], page: Any) -> None:
    page.goto(f"file://{folders['sound']}/index.html")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF") and 3 <= pdf.count(b"/Type /Page\n") <= 25


def test_it_can_be_used_with_the_keyboard(folders: dict[str, Path], page: Any) -> None:
    page.goto(f"file://{folders['sound']}/index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    table = page.locator("details", has_text="The numbers").first
    table.locator("summary").focus()
    page.keyboard.press("Enter")
    assert table.locator("table").is_visible()


def test_pictures_have_names_and_descriptions(folders: dict[str, Path], page: Any) -> None:
    page.goto(f"file://{folders['sound']}/index.html")
    pictures = page.locator("svg[role=img]")
    assert pictures.count() == 5
    for i in range(pictures.count()):
        ids = pictures.nth(i).get_attribute("aria-labelledby").split()
        assert len(ids) == 2 and all(page.locator(f"[id='{name}']").text_content().strip() for name in ids)
