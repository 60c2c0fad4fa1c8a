"""Plotly figures as static SVG: geometry re-derived from the drawing, text kept as text, bytes the same each time."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from plotly.subplots import make_subplots

from labkit.views import _style
from labkit.views._static import svg
from labkit.views._static.colour import colour
from labkit.views._static.scale import plain

NS = "{http://www.w3.org/2000/svg}"
HOSTILE = ["<img src=x onerror=alert(1)>", "</svg></script><script>alert(1)</script>", "$x^2$ & \"quotes\" 'too'"]


def drawn(figure: go.Figure, **options: Any) -> ET.Element:
    return ET.fromstring(svg(figure, **{"name": "f", **options}))


def points(path: str) -> np.ndarray:
    return np.array([[float(v) for v in p] for p in re.findall(r"[ML]\s*([-\d.]+)[ ,]([-\d.]+)", path)])


def lines(root: ET.Element, tint: str) -> list[np.ndarray]:
    """The points of every path stroked in a colour."""
    style = re.compile(rf"stroke:\s*{tint}", re.IGNORECASE)
    return [points(p.get("d", "")) for p in root.iter(NS + "path") if style.search(p.get("style", ""))]


def texts(root: ET.Element) -> list[str]:
    return ["".join(t.itertext()).strip() for t in root.iter(NS + "text")]


def affine(values: np.ndarray, positions: np.ndarray) -> float:
    """How far positions are from an affine function of values, in pixels."""
    design = np.column_stack([values, np.ones(len(values))])
    return float(np.abs(design @ np.linalg.lstsq(design, positions, rcond=None)[0] - positions).max())


def line(x: Any, y: Any, **options: Any) -> go.Figure:
    return go.Figure(go.Scatter(x=x, y=y, mode="lines", line={"color": "#d55e00"}, **options))


def test_a_line_goes_where_its_numbers_say() -> None:
    x, y = np.array([0.0, 1, 3, 7]), np.array([0.1, 0.9, 0.3, 0.5])
    (path,) = lines(drawn(line(x, y)), "#d55e00")
    assert affine(x, path[:, 0]) < 0.01 and affine(y, path[:, 1]) < 0.01
    assert path[1, 1] < path[0, 1], "up is up"


def test_a_logarithmic_axis_is_one() -> None:
    x, y = np.array([1.0, 10, 200, 5000]), np.array([1.0, 2, 3, 4])
    figure = line(x, y)
    figure.update_xaxes(type="log")
    root = drawn(figure)
    (path,) = lines(root, "#d55e00")
    assert affine(np.log10(x), path[:, 0]) < 0.01 and affine(x, path[:, 0]) > 10
    assert {"1", "10", "100", "1000"} <= set(texts(root))


def test_categories_stand_in_order_at_even_steps() -> None:
    names = ["c", "a", "b"]
    root = drawn(line(names, [1, 2, 3]))
    (path,) = lines(root, "#d55e00")
    assert np.ptp(np.diff(path[:, 0])) < 0.01
    assert [t for t in texts(root) if t in names] == names


def test_a_given_range_and_a_reversed_axis_are_kept() -> None:
    figure = line([0, 1], [0, 1])
    figure.update_xaxes(range=[0, 2])
    figure.update_yaxes(autorange="reversed")
    (path,) = lines(drawn(figure, heading=False), "#d55e00")
    assert path[1, 1] > path[0, 1]
    full = line([0, 1], [0, 1])
    full.update_xaxes(range=[0, 1])
    (whole,) = lines(drawn(full, heading=False), "#d55e00")
    assert np.ptp(path[:, 0]) == pytest.approx(np.ptp(whole[:, 0]) / 2, rel=0.02)


def test_bars_are_as_long_as_their_numbers_and_side_by_side() -> None:
    figure = go.Figure([go.Bar(x=["a", "b"], y=[1, 3], marker_color="#0072b2"), go.Bar(x=["a", "b"], y=[2, 4])])
    root = drawn(figure)
    boxes = []
    for path in root.iter(NS + "path"):
        if "fill: #0072b2" in path.get("style", ""):
            boxes.append(points(path.get("d", "")))
    first, second = boxes[:2]
    assert np.ptp(second[:, 1]) == pytest.approx(3 * np.ptp(first[:, 1]), rel=1e-3)
    lying = go.Figure(go.Bar(y=["a", "b"], x=[1, 3], orientation="h", marker_color="#0072b2"))
    wide = [points(p.get("d", "")) for p in drawn(lying).iter(NS + "path") if "fill: #0072b2" in p.get("style", "")]
    assert np.ptp(wide[1][:, 0]) == pytest.approx(3 * np.ptp(wide[0][:, 0]), rel=1e-3)


def test_stacked_bars_stand_on_each_other() -> None:
    figure = go.Figure([go.Bar(x=["a"], y=[1], marker_color="#0072b2"), go.Bar(x=["a"], y=[2], marker_color="#d55e00")])
    figure.update_layout(barmode="stack")
    root = drawn(figure)
    low, high = (
        next(points(p.get("d", "")) for p in root.iter(NS + "path") if f"fill: {tint}" in p.get("style", ""))
        for tint in ("#0072b2", "#d55e00")
    )
    assert high[:, 1].max() == pytest.approx(low[:, 1].min(), abs=0.01)


def test_error_bars_end_where_the_interval_does() -> None:
    value, low, high = np.array([0.2, 0.6]), np.array([0.1, 0.5]), np.array([0.5, 0.9])
    figure = go.Figure(
        go.Scatter(
            x=[0, 1], y=value, mode="lines+markers", line_color="#d55e00", error_y=_style.errors(value, low, high)
        )
    )
    found = lines(drawn(figure), "#d55e00")
    curve = next(p for p in found if len(p) == 2 and np.ptp(p[:, 0]) > 1)
    scale = np.polyfit(value, curve[:, 1], 1)
    bars = sorted((p for p in found if len(p) == 2 and np.ptp(p[:, 0]) < 1e-6), key=lambda p: p[0, 0])
    for bar, ends in zip(bars, np.column_stack([low, high])):
        assert np.sort(bar[:, 1]) == pytest.approx(np.sort(np.polyval(scale, ends)), abs=0.02)


def test_a_heatmap_has_its_colours_in_its_cells() -> None:
    z = np.array([[-1.0, 0, 1], [0.5, -0.5, np.nan]])
    figure = go.Figure(go.Heatmap(z=z, colorscale=_style.DIVERGING, zmid=0, showscale=False))
    image = next(drawn(figure).iter(NS + "image"))
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(image.get("href", "").partition(",")[2]))))
    right, _, _, up, _, _ = (float(v) for v in re.findall(r"-?[\d.]+", image.get("transform", "")))
    assert right > 0 > up, "columns go to the right, and rows up, as plotly's do"
    for value, (row, column) in ((-1, (0, 0)), (0, (0, 1)), (1, (0, 2))):
        wanted = np.array(colour(_style.DIVERGING[int(value + 1)][1])[:3]) * 255
        assert np.abs(pixels[row, column, :3] - wanted).max() < 3
    assert pixels[1, 2, 3] == 0, "a missing cell is empty"


def test_subplots_stand_in_their_domains() -> None:
    figure = make_subplots(rows=1, cols=2, subplot_titles=["left", "right"])
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line_color="#d55e00", row=1, col=1)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line_color="#0072b2", row=1, col=2)
    root = drawn(figure)
    (left,), (right,) = lines(root, "#d55e00"), lines(root, "#0072b2")
    assert left[:, 0].max() < right[:, 0].min() and {"left", "right"} <= set(texts(root))


def test_lines_and_bands_across_a_panel() -> None:
    figure = line([0, 10], [0, 1])
    figure.add_hline(y=0.5, line_color="#0072b2", annotation_text="half")
    figure.add_vrect(x0=2, x1=4, fillcolor="#009e73", line_width=0)
    root = drawn(figure)
    (curve,), (half,) = lines(root, "#d55e00"), lines(root, "#0072b2")
    assert half[0, 1] == half[1, 1] == pytest.approx(curve[:, 1].mean(), abs=0.01)
    assert np.ptp(half[:, 0]) >= np.ptp(curve[:, 0])
    band = next(points(p.get("d", "")) for p in root.iter(NS + "path") if "fill: #009e73" in p.get("style", ""))
    assert np.ptp(band[:, 0]) == pytest.approx(0.2 * np.ptp(curve[:, 0]), rel=1e-3)
    assert "half" in texts(root)


def test_the_legend_names_what_is_shown_and_nothing_else() -> None:
    figure = go.Figure(
        [
            go.Scatter(x=[0, 1], y=[0, 1], name="shown"),
            go.Scatter(x=[0, 1], y=[1, 1], name="also shown"),
            go.Scatter(x=[0, 1], y=[1, 0], name="without entry", showlegend=False),
            go.Scatter(x=[0, 1], y=[1, 0], name="hidden", visible=False),
        ]
    )
    assert {"shown", "also shown"} <= set(texts(drawn(figure)))
    assert not {"without entry", "hidden"} & set(texts(drawn(figure)))


def test_every_label_is_inside_the_picture() -> None:
    figure = go.Figure(go.Bar(y=["a very long name of a group of people " * 2, "b"], x=[1, 2], orientation="h"))
    figure.update_layout(title="T", xaxis_title="share", height=300)
    root = drawn(figure)
    _, _, width, height = (float(v) for v in root.get("viewBox", "").split())
    for text in root.iter(NS + "text"):
        at = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", text.get("transform", "")) or [
            0,
            text.get("x"),
            text.get("y"),
        ]
        assert -1 <= float(at[1]) <= width and 0 <= float(at[2]) <= height


def test_text_stays_text_and_nothing_in_it_becomes_markup() -> None:
    figure = go.Figure()
    for i, text in enumerate(HOSTILE):
        figure.add_bar(x=HOSTILE, y=[1, 2, 3], name=text, text=HOSTILE)
        figure.add_annotation(x=HOSTILE[i], y=1, text=text)
    figure.update_layout(title=HOSTILE[0], xaxis_title=HOSTILE[1], yaxis_title=HOSTILE[2])
    picture = svg(figure, name=HOSTILE[1], describe=HOSTILE[0])
    root = ET.fromstring(picture)
    tags = {e.tag.removeprefix(NS) for e in root.iter()}
    assert tags <= {"svg", "g", "defs", "path", "clipPath", "rect", "text", "tspan", "use", "image", "title", "desc"}
    for element in root.iter():
        assert not any(k.lower().startswith("on") for k in element.attrib)
        assert element.get("href", "#").startswith(("#", "data:image/png;base64,"))
    assert HOSTILE[2] in texts(root) and HOSTILE[0] in texts(root)
    assert "<script" not in picture and "<img" not in picture


def test_it_is_accessible_and_takes_the_pages_ink() -> None:
    figure = line([0, 1], [0, 1])
    figure.update_layout(title="Two <b>points</b><br>joined")
    root = drawn(figure, describe="A line that rises.", heading=False)
    named = {e.get("id"): "".join(e.itertext()) for e in root if e.get("id")}
    assert root.get("role") == "img"
    assert [named[i] for i in root.get("aria-labelledby", "").split()] == ["Two points\njoined", "A line that rises."]
    raw = svg(figure, name="f")
    assert "currentColor" in raw and "#000000" not in raw and "#010203" not in raw
    assert "<style" not in raw and "metadata" not in raw and "DejaVu" not in raw


def test_two_figures_of_one_page_share_no_id() -> None:
    figure = line([0, 1], [0, 1])
    ids = [{e.get("id") for e in drawn(figure, name=name).iter() if e.get("id")} for name in ("a", "b")]
    assert ids[0] and not ids[0] & ids[1]
    raw = svg(figure, name="a")
    assert set(re.findall(r"url\(#([^)]+)\)", raw)) <= set(re.findall(r' id="([^"]+)"', raw))


def test_the_bytes_are_the_same_each_time() -> None:
    def made() -> str:
        rng = np.random.default_rng(0)
        figure = _style.base("A title", "x", "y")
        figure.add_scatter(x=[0, 1, 2], y=rng.normal(size=3), mode="markers", marker_symbol=["circle", "x", "star"])
        figure.add_heatmap(z=rng.normal(size=(3, 3)))
        return svg(figure, name="f")

    assert made() == made()


@pytest.mark.parametrize(
    ("figure", "named"),
    [
        (go.Figure(go.Pie(values=[1, 2])), "pie"),
        (go.Figure(go.Scatter3d(x=[1], y=[1], z=[1])), "scatter3d"),
        (go.Figure(go.Scatter(x=[1, 2], y=[1, 2], fill="tonext")), "tonext"),
        (go.Figure(go.Scatter(x=[1], y=[1], mode="markers", marker_symbol="hexagon")), "hexagon"),
        (line([0, 1], [0, 1]).add_shape(type="circle", x0=0, x1=1, y0=0, y1=1), "circle"),
        (line([0, 1], [0, 1]).update_xaxes(type="date"), "date"),
    ],
)
def test_what_cannot_be_drawn_is_named(figure: go.Figure, named: str) -> None:
    with pytest.raises(NotImplementedError, match=named):
        svg(figure, name="f")


def test_only_plotlys_own_tags_are_dropped_from_text() -> None:
    assert plain("a<br>b <b>c</b> <i>d</i>") == "a\nb c d"
    assert plain("<img src=x> <script>") == "<img src=x> <script>" and plain(None) == ""


def test_a_long_title_goes_on_in_a_second_line() -> None:
    title = "a title of many words " * 8
    shown = [text for text in texts(drawn(line([0, 1], [0, 1]).update_layout(title=title))) if "title" in text]
    assert len(shown) > 1 and max(map(len, shown)) <= 80 and " ".join(shown).split() == title.split()


def test_words_in_a_cell_without_a_number_are_dark_on_the_page() -> None:
    figure = go.Figure(
        go.Heatmap(z=[[0.0, 1.0, np.nan]], text=[["a", "c", "b"]], texttemplate="%{text}", showscale=False)
    )
    tints = [e.get("style", "") for e in drawn(figure).iter() if e.tag.endswith("text") and "b" in (e.text or "")]
    assert tints and not any("#ffffff" in t for t in tints)
