"""The notebooks' widgets in a real JupyterLab: what is moved changes what is drawn."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser


def test_explain_is_run_and_a_moved_control_changes_the_picture(watched: Any, lab: Any) -> None:
    from playwright.sync_api import expect

    page = watched.page
    watched.open_notebook(lab, "01_explain.ipynb")
    assert watched.run_all() and watched.cell_errors() == []

    panel = page.locator(".lk-panel-explain").first
    drawn = panel.locator(".lk-figure .main-svg").first
    expect(drawn).to_be_visible()
    before = panel.locator(".lk-figure .js-plotly-plot").inner_html()
    sentence = panel.locator(".lk-says")
    said = sentence.inner_text()

    panel.get_by_label("method").select_option("saliency")
    expect(sentence).not_to_have_text(said)
    expect(drawn).to_be_visible()
    assert panel.locator(".lk-figure .js-plotly-plot").inner_html() != before
    assert panel.locator(".lk-findings > *").count() > 0
    assert page.get_by_text("Share chart").count() == 0
