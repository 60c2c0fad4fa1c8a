"""How a shift looks: each feature's difference, all of them together, and the classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value, share
from labkit.records.distribution_shift import DistributionShift
from labkit.views._forest import mark, span
from labkit.views._gallery import short
from labkit.views._style import COLOURS, MARKERS, NEUTRAL, base, errors, rgba

SHOWN = 15
BEYOND = 0.01


def figure(record: DistributionShift) -> go.Figure:
    """Left the features that differ most, numbers in standard deviations and categories as a share of rows; squares differ
    beyond chance (p < 0.01 after correction). Right how well a learner tells the parts apart, dotted at chance, and how far
    the classes' shares moved, dotted at none."""
    order = np.argsort(-record.away, kind="stable")[:SHOWN]
    rows_of = max(len(order), 8)
    titles = [
        "difference of features (test less training)",
        "AUC of telling the parts apart",
        "change of classes' shares",
    ]
    result = make_subplots(
        2,
        2,
        specs=[[{"rowspan": 2}, {}], [None, {}]],
        subplot_titles=titles,
        horizontal_spacing=0.26,
        vertical_spacing=0.27,
        row_heights=[0.3, 0.7],
    )
    heading = f"{record.n_train:,} training and {record.n_test:,} test rows, 95 % intervals"
    result.update_layout(base(heading, height=260 + 26 * rows_of).layout)
    result.update_layout(showlegend=False, margin={"l": 170, "t": 84})
    unit = "share of rows" if not record.numeric.any() else "standard deviations"
    unit += " (categories: share of rows)" if record.numeric.any() and not record.numeric.all() else ""
    for title, row, col in ((unit, 1, 1), ("AUC, 0.5 is chance", 1, 2), ("share in test less share in training", 2, 2)):
        result.update_xaxes(title=title, title_font_size=12, row=row, col=col)
    result.update_xaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    result.update_yaxes(gridcolor=rgba(NEUTRAL, 0.25), zeroline=False)
    other = np.where(np.isinf(record.away), "<br>one value, another", "")
    names = [short(record.features[i], 24) + other[i] for i in order]
    _panel(result, names, (record.difference, record.low, record.high), record.p, order, 0.0, (1, 1))
    learners = [f"{name}<br>({record.n_fit} rows each)" for name in record.learners]
    places = np.arange(len(learners))
    areas = (record.auc, record.auc_low, record.auc_high)
    _panel(result, learners, areas, record.auc_p, places, 0.5, (1, 2))
    moved = (record.test_share - record.train_share, record.share_low, record.share_high)
    chosen = np.argsort(-np.abs(moved[0]), kind="stable")[:10]
    classes = [short(record.classes[i], 18) for i in chosen]
    _panel(result, classes, moved, record.share_p, chosen, 0.0, (2, 2))
    return result


def _panel(
    result: go.Figure,
    names: list[str],
    values: tuple[np.ndarray, np.ndarray, np.ndarray],
    p: np.ndarray,
    order: np.ndarray,
    none: float,
    place: tuple[int, int],
) -> None:
    row, col = place
    value, low, high = (v[order] for v in values)
    sure = np.nan_to_num(p[order], nan=1.0) < BEYOND
    result.add_scatter(
        x=value,
        y=np.arange(len(order)),
        mode="markers",
        error_x=errors(value, low, high),
        marker={
            "size": 8,
            "color": [COLOURS[1] if s else COLOURS[0] for s in sure],
            "symbol": [MARKERS[1] if s else MARKERS[0] for s in sure],
        },
        text=[number(*ends) for ends in zip(value, low, high)],
        hoverinfo="text",
        row=row,
        col=col,
    )
    mark(result, none, len(order), "dot", row=row, col=col)
    safe = [name.replace("<br>", "\0").replace("<", "‹").replace(">", "›").replace("\0", "<br>") for name in names]
    result.update_yaxes(
        tickvals=list(range(len(order))), ticktext=safe, range=[len(order) - 0.4, -0.6], row=row, col=col
    )
    result.update_xaxes(range=span(value, low, high, none), row=row, col=col)


def rows(record: DistributionShift) -> pd.DataFrame:
    """One feature a row: difference with interval, p, stability index, and test rows beyond what training has shown."""
    return pd.DataFrame(
        {
            "feature": record.features,
            "kind": np.where(record.numeric, "numeric", "categorical"),
            "difference": record.difference,
            "low": record.low,
            "high": record.high,
            "unit": np.where(record.numeric, "standard deviations", "share of rows"),
            "p (Holm)": record.p,
            "population stability index": record.psi,
            "more than 1 sd apart": record.numeric & (np.abs(record.difference) > 1),
            "beyond training": record.beyond,
            "beyond p (Holm)": record.beyond_p,
        }
    )


def classes(record: DistributionShift) -> pd.DataFrame:
    """One class a row: its share in both parts, and the share in test that the model's answers tell without labels."""
    return pd.DataFrame(
        {
            "class": record.classes,
            "training": record.train_share,
            "test": record.test_share,
            "difference low": record.share_low,
            "difference high": record.share_high,
            "p (Holm)": record.share_p,
            "told by answers": record.estimated,
            "told low": record.estimated_low,
            "told high": record.estimated_high,
        }
    )


def says(record: DistributionShift) -> str:
    """How well the parts are told apart, which feature differs most, and what is new."""
    at, most = int(record.auc.argmax()), int(record.away.argmax())
    area = number(record.auc[at], record.auc_low[at], record.auc_high[at])
    sure = int((record.p < BEYOND).sum())
    one = number(record.difference[most], record.low[most], record.high[most])
    by = f"by {one} {'standard deviations' if record.numeric[most] else 'of the rows'}"
    if np.isinf(record.away[most]):
        by = "which has one value in each part, and not the same"
    told = (
        f"{record.n_test:,} test rows are told from {record.n_train:,} training rows with an AUC of {area} by "
        f"{record.learners[at]} on {record.layer} ({p_value(record.auc_p[at])}; 0.5 is chance). {sure} of "
        f"{len(record.features)} features differ beyond chance; most {record.features[most]}, {by}."
    )
    new = int(record.beyond.max())
    told += f" At most {share(new / record.n_test)} of the test rows lie beyond training in one feature."
    if record.words_of:
        told += f" Of {record.words_of:,} words in test texts {share(*record.words)} are in no training text"
        told += f" ({p_value(record.words_p)})."
    return told
