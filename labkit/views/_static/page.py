"""A whole figure: panels where the subplots' domains say, shapes, annotations, legend, and margins that fit the text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from labkit.views._static.clean import INK
from labkit.views._static.colour import colour
from labkit.views._static.panel import Panel, dash
from labkit.views._static.scale import Scale, plain, wrapped
from labkit.views._static.traces import add

if TYPE_CHECKING:
    import plotly.graph_objects as go

Box = tuple[float, float, float, float]
EDGE = 8
GRID = (0.5, 0.5, 0.5, 0.25)


def draw(figure: go.Figure, width: int, heading: bool) -> tuple[str, str]:
    """The figure as matplotlib's SVG, and its title. One unit is one CSS pixel."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    layout = figure.layout
    title = plain(layout.title.text)
    height = int(layout.height or 360)
    page = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(page)
    page.patch.set_visible(False)
    panels = _panels(page, figure)
    entries = _traces(figure, panels)
    for panel in panels.values():
        _axis(panel, "x")
        _axis(panel, "y")
    frame = page.add_axes((0, 0, 1, 1), zorder=5)
    frame.set_axis_off()
    frame.set(xlim=(0, 1), ylim=(0, 1))
    _shapes(figure, panels, frame)
    notes = _annotations(figure, panels, frame)
    told = wrapped(title, width - 2 * EDGE) if heading else ""
    head = page.text(0, 1, told, fontsize=14, fontweight="bold", color=INK, va="top") if told else None
    legend = _legend(page, entries, layout)
    _fit(page, panels, frame, notes, head, legend)
    buffer = io.StringIO()
    page.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue(), title


def _number(reference: Any) -> str:
    """ "x2" or "x2 domain" as the layout's axis: "xaxis2"."""
    name = str(reference or "x").split()[0]
    return f"{name[0]}axis{name[1:]}"


def _panels(page: Any, figure: go.Figure) -> dict[tuple[str, str], Panel]:
    """One panel for each pair of axes that a trace uses."""
    layout = figure.layout
    placed: dict[tuple[str, str], list[Any]] = {}
    for trace in figure.data:
        key = _number(getattr(trace, "xaxis", None) or "x"), _number(getattr(trace, "yaxis", None) or "y")
        placed.setdefault(key, []).append(trace)
    panels = {}
    for (x, y), traces in placed.items():
        values_x = [t.x for k, ts in placed.items() if k[0] == x for t in ts if "x" in t]
        values_y = [t.y for k, ts in placed.items() if k[1] == y for t in ts if "y" in t]
        axes = page.add_axes((0, 0, 1, 1), label=f"{x} {y}")
        axes.patch.set_visible(False)
        bars = sum(t.type == "bar" for t in traces)
        panels[x, y] = Panel(axes, Scale(layout[x], values_x), Scale(layout[y], values_y), layout, bars=bars)
    return panels


def _traces(figure: go.Figure, panels: dict[tuple[str, str], Panel]) -> list[tuple[str, Any]]:
    """Draw every trace; returns the legend's entries."""
    colourway = figure.layout.colorway or ("#0072b2",)
    shown = figure.layout.showlegend
    entries, grouped = [], set()
    drawn = [t for t in figure.data if t.visible not in (False, "legendonly")]
    for panel in panels.values():
        for axis, scale in (("x", panel.x), ("y", panel.y)):
            getattr(panel.axes, f"set_{axis}scale")("log" if scale.kind == "log" else "linear")
    for i, trace in enumerate(drawn):
        panel = panels[_number(getattr(trace, "xaxis", None) or "x"), _number(getattr(trace, "yaxis", None) or "y")]
        handle = add(panel, trace, colourway[i % len(colourway)])
        # A picture has no entry in the legend, and knows none of these names.
        twin = handle and trace.legendgroup and (trace.legendgroup, trace.name) in grouped
        if handle and trace.name and trace.showlegend is not False and not twin:
            entries.append((plain(trace.name), handle))
            grouped.add((trace.legendgroup, trace.name))
    return entries if (len(entries) > 1 if shown is None else shown) else []


def _axis(panel: Panel, side: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes, scale = panel.axes, getattr(panel, side)
    axis = scale.axis
    own = getattr(axes, f"{side}axis")
    limits = scale.limits()
    if limits:
        getattr(axes, f"set_{side}lim")(*limits)
    elif scale.reversed:
        own.set_inverted(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if axis.scaleanchor:
        axes.set_aspect("equal", adjustable="box", anchor="C")
    if axis.visible is False:
        own.set_visible(False)
        return
    fixed, log = scale.ticks(), scale.kind == "log"
    if fixed:
        own.set_ticks(fixed[0], labels=fixed[1])
    else:
        few = MaxNLocator(nbins=axis.nticks or 6, steps=[1, 2, 2.5, 5, 10])
        own.set_major_locator(LogLocator(numticks=7) if log else few)
        own.set_major_formatter(FuncFormatter(lambda value, _: scale.label(value)))
    if log:
        own.set_minor_formatter(NullFormatter())
    if axis.showgrid is not False and scale.kind != "category":
        own.grid(True, color=GRID, linewidth=1, zorder=0)
    axes.set_axisbelow(True)
    angle = -(axis.tickangle or 0)
    own.set_tick_params(which="both", colors=INK, labelsize=11, length=0, pad=5)
    if angle and side == "x":
        for label in own.get_ticklabels():
            label.set(rotation=angle, ha="right" if angle > 0 else "left", rotation_mode="anchor")
    elif side == "x" and fixed and max(map(len, fixed[1]), default=0) * len(fixed[1]) > 95:
        for label in own.get_ticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")
    if axis.showticklabels is False:
        own.set_tick_params(labelleft=False, labelbottom=False)
    if axis.title.text:
        getattr(axes, f"set_{side}label")(plain(axis.title.text), color=INK, fontsize=12, labelpad=8)


def _place(panels: dict[tuple[str, str], Panel], frame: Any, x: Any, y: Any) -> tuple[Any, Panel | None, Panel | None]:
    """The transform of a point whose coordinates are data, an axis' domain, or the paper; and the panels that scale it."""
    from matplotlib.transforms import blended_transform_factory

    found: list[Any] = []
    scaled: list[Panel | None] = []
    for reference, position in ((x, 0), (y, 1)):
        name = str(reference or "xy"[position])
        panel = next((p for key, p in panels.items() if key[position] == _number(name)), None)
        if name == "paper" or panel is None:
            found.append(frame.transAxes)
            scaled.append(None)
        else:
            inside = name.endswith("domain")
            found.append(panel.axes.transAxes if inside else panel.axes.transData)
            scaled.append(None if inside else panel)
    return blended_transform_factory(*found), scaled[0], scaled[1]


def _shapes(figure: go.Figure, panels: dict[tuple[str, str], Panel], frame: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    for shape in figure.layout.shapes:
        transform, on_x, on_y = _place(panels, frame, shape.xref, shape.yref)
        x = [float(on_x.x([v])[0]) if on_x else float(v) for v in (shape.x0, shape.x1)]
        y = [float(on_y.y([v])[0]) if on_y else float(v) for v in (shape.y0, shape.y1)]
        stroke = colour(shape.line.color or INK, shape.opacity)
        width = 2 if shape.line.width is None else shape.line.width
        panel = on_x or on_y
        host = panel.axes if panel else frame
        below = shape.layer in ("below", "between")
        if shape.type == "line":
            host.add_artist(
                Line2D(
                    x,
                    y,
                    color=stroke,
                    linewidth=width,
                    linestyle=dash(shape.line.dash),
                    transform=transform,
                    zorder=1.2 if below else 3.2,
                )
            )
        elif shape.type == "rect":
            fill = colour(shape.fillcolor, shape.opacity) if shape.fillcolor else "none"
            host.add_artist(
                Rectangle(
                    (min(x), min(y)),
                    abs(x[1] - x[0]),
                    abs(y[1] - y[0]),
                    facecolor=fill,
                    edgecolor=stroke if width else "none",
                    linewidth=width,
                    linestyle=dash(shape.line.dash),
                    transform=transform,
                    zorder=1.1,
                )
            )
        else:
            raise NotImplementedError(f"a shape of type {shape.type!r} in a static figure")


def _annotations(figure: go.Figure, panels: dict[tuple[str, str], Panel], frame: Any) -> list[Any]:
    notes = []
    for note in figure.layout.annotations:
        if note.visible is False or note.text is None:
            continue
        transform, on_x, on_y = _place(panels, frame, note.xref, note.yref)
        x = on_x.x.annotation(note.x) if on_x else float(note.x)
        y = on_y.y.annotation(note.y) if on_y else float(note.y)
        arrow = note.showarrow is not False
        dx, dy = _shift(note, arrow)
        tint = note.font.color if note.font.color not in (None, "#7f7f7f") else None
        notes.append(
            frame.annotate(
                plain(note.text),
                (x, y),
                xycoords=transform,
                xytext=(dx, dy),
                textcoords="offset points",
                ha={"auto": "center", None: "center"}.get(note.xanchor, note.xanchor),
                va={"auto": "center", None: "center", "middle": "center"}.get(note.yanchor, note.yanchor),
                color=colour(tint) if tint else INK,
                fontsize=min(note.font.size or 12, 13),
                rotation=-(note.textangle or 0),
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 1} if arrow else None,
                annotation_clip=False,
                zorder=7,
            )
        )
    return notes


def _shift(note: Any, arrow: bool) -> tuple[float, float]:
    """How far the text stands from its point, to the right and up; a little off a line that it rests on."""
    if arrow:
        return note.ax or 0, -(-30 if note.ay is None else note.ay)
    rest = {"bottom": 3, "top": -3}.get(note.yanchor, 0) if note.yref != "paper" else 0
    return note.xshift or 0, (note.yshift or 0) + rest


def _legend(page: Any, entries: list[tuple[str, Any]], layout: Any) -> Any:
    from matplotlib.legend_handler import HandlerTuple

    if not entries:
        return None
    longest = max(len(name) for name, _ in entries)
    columns = max(1, min(len(entries), int(page.get_figwidth() * 72 // (7 * longest + 50))))
    return page.legend(
        [handle if len(handle) > 1 else handle[0] for _, handle in entries],
        [name for name, _ in entries],
        loc="lower left",
        bbox_to_anchor=(0, 0),
        ncols=columns,
        frameon=False,
        fontsize=11,
        labelcolor=INK,
        handlelength=2.6,
        columnspacing=1.6,
        borderpad=0,
        title=plain(layout.legend.title.text) or None,
        handler_map={tuple: HandlerTuple(ndivide=1)},
    )


def _fit(page: Any, panels: dict[tuple[str, str], Panel], frame: Any, notes: list[Any], head: Any, legend: Any) -> None:
    """Place the panels so that every label is inside the page, with the title above and the legend below."""
    renderer = page.canvas.get_renderer() if hasattr(page.canvas, "get_renderer") else page._get_renderer()
    wide, tall = page.get_figwidth() * 72, page.get_figheight() * 72
    top = EDGE + (head.get_window_extent(renderer).height + 10 if head else 0)
    bottom = EDGE + (legend.get_window_extent(renderer).height + 10 if legend else 0)
    left = right = 0.0
    area: Box = (EDGE, bottom, wide - 2 * EDGE, tall - top - bottom)
    for _ in range(3):
        _set(page, panels, frame, area, (wide, tall))
        boxes = [b for p in panels.values() if (b := p.axes.get_tightbbox(renderer)) is not None]
        boxes += [note.get_window_extent(renderer) for note in notes]
        if not boxes:
            return
        _, y, _, h = area
        left += max(0.0, EDGE - min(b.x0 for b in boxes))
        right += max(0.0, max(b.x1 for b in boxes) - (wide - EDGE))
        down = max(0.0, bottom - min(b.y0 for b in boxes))
        up = max(0.0, max(b.y1 for b in boxes) - (tall - top))
        area = (EDGE + left, y + down, wide - 2 * EDGE - left - right, h - down - up)
    _set(page, panels, frame, area, (wide, tall))
    if head:
        head.set_position((EDGE / wide, 1 - EDGE / tall))
    if legend:
        room = wide - EDGE - legend.get_window_extent(renderer).width
        legend.set_bbox_to_anchor((max(EDGE, min(area[0], room)) / wide, EDGE / tall))


def _set(page: Any, panels: dict[tuple[str, str], Panel], frame: Any, area: Box, size: tuple[float, float]) -> None:
    x, y, w, h = area[0] / size[0], area[1] / size[1], max(area[2], 20) / size[0], max(area[3], 20) / size[1]
    frame.set_position((x, y, w, h))
    for panel in panels.values():
        x0, x1 = panel.x.axis.domain or (0, 1)
        y0, y1 = panel.y.axis.domain or (0, 1)
        panel.axes.set_position((x + w * x0, y + h * y0, w * (x1 - x0), h * (y1 - y0)))
