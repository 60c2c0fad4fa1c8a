"""The notebooks' widgets in a real JupyterLab: what is moved changes what is drawn."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser


def drawn(panel: Any) -> list[str]:
    """The maps and pictures in the figure, as the browser drew them."""
    images = panel.locator(".lk-figure .heatmaplayer image")
    return images.evaluate_all("nodes => nodes.map(n => n.getAttribute('href') || n.getAttribute('xlink:href'))")


def test_moved_controls_change_the_picture_and_stop_stops(watched: Any, lab: Any) -> None:
    from playwright.sync_api import expect

    page = watched.page
    watched.open_notebook(lab, "01_explain.ipynb")
    assert watched.run_all() and watched.cell_errors() == []
    panel = page.locator(".lk-panel-explain").first
    title, progress = panel.locator(".lk-figure .gtitle"), panel.locator(".lk-progress")
    expect(title).to_contain_text("integrated_gradients")
    expect(progress).to_contain_text("done")
    first = drawn(panel)
    assert len(first) > 1 and panel.locator(".lk-finding").count() > 2

    # another method from the list
    panel.get_by_label("method").select_option("saliency")
    expect(title).to_contain_text("saliency")
    expect(progress).to_contain_text("done")
    second = drawn(panel)
    assert second[0] == first[0] and second[1] != first[1], "the same picture, and another map"

    # another row with the keyboard, on the slider that stands beside the field
    panel.locator(".lk-first_row-slider .noUi-handle").press("ArrowRight")
    expect(panel.get_by_label("first row")).to_have_value("1")
    page.wait_for_function(
        "before => document.querySelector('.lk-figure .heatmaplayer image')?.href.baseVal !== before", arg=second[0]
    )
    expect(progress).to_contain_text("done")

    # a slow method on more rows, and Stop
    panel.get_by_label("method").select_option("integrated_gradients")
    expect(title).to_contain_text("integrated_gradients")
    field = panel.get_by_label("rows", exact=True)
    field.fill("16")
    field.press("Enter")
    panel.get_by_role("button", name="Stop").click()
    expect(progress).to_contain_text("stopped")
    expect(panel.get_by_role("button", name="Run")).to_be_enabled()
    assert page.get_by_text("Share chart").count() == 0
