"""How an association of words looks: the effect size beside random words', and each target word's score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from labkit.core.words import number, p_value
from labkit.records.embedding_association import EmbeddingAssociation
from labkit.views._forest import band, mark, span
from labkit.views._style import COLOURS, MARKERS, base, errors


def figure(record: EmbeddingAssociation) -> go.Figure:
    """Above the effect size with its 95 % interval; random sets of words lie in the band in 95 of 100 draws. Below each
    target word's score, the highest first: to the right it is nearer to the first attributes."""
    count = len(record.word)
    above, below = 70, 22 * max(count, 4)
    result = make_subplots(
        2,
        1,
        row_heights=[above, below],
        vertical_spacing=90 / (above + below + 90),
        subplot_titles=["effect size", "each word's score"],
    )
    first, second = record.attributes
    heading = f"{' against '.join(record.targets)}: nearer to {first} than to {second}? ({record.of})"
    result.update_layout(base(heading, height=above + below + 250).layout)
    result.update_layout(margin={"l": 130, "t": 80}, legend={"y": -70 / (above + below + 90)})
    result.update_annotations(font_size=12)
    if record.status == "measured":
        _effect(result, record)
        _words(result, record)
    toward = f"← {second}     mean cosine with {first} less that with {second}     {first} →"
    result.update_xaxes(title={"text": toward, "font": {"size": 12}}, row=2, col=1)
    return result


def _effect(result: go.Figure, record: EmbeddingAssociation) -> None:
    value, low, high = (np.array([v]) for v in (record.effect, record.low, record.high))
    reach = record.control95
    if not np.isnan(reach):
        band(result, (-reach, reach), (0, 0), row=1, col=1)
    result.add_scatter(
        x=value,
        y=np.zeros(1),
        mode="markers",
        error_x=errors(value, low, high),
        marker={"color": COLOURS[0], "size": 10},
        text=[number(record.effect, record.low, record.high)],
        hoverinfo="text",
        showlegend=False,
        row=1,
        col=1,
    )
    mark(result, 0.0, 1, "dash", row=1, col=1)
    n = " and ".join(map(str, record.sizes()[: len(record.targets)]))
    result.update_yaxes(tickvals=[0], ticktext=[f"n = {n} words"], range=[-0.6, 0.6], row=1, col=1)
    result.update_xaxes(range=[-2.05, 2.05], row=1, col=1)


def _words(result: go.Figure, record: EmbeddingAssociation) -> None:
    order = np.argsort(-record.score, kind="stable")
    place = np.argsort(order)
    for i, name in enumerate(record.targets):
        at = np.flatnonzero(record.target_of == i)
        result.add_scatter(
            x=record.score[at],
            y=place[at],
            mode="markers",
            marker={"color": COLOURS[i], "symbol": MARKERS[i], "size": 9},
            name=f"{name} (mean {number(float(record.score[at].mean()))})",
            text=[f"{record.word[w]}: {number(record.score[w])}, {p_value(record.word_p_holm[w])} (Holm)" for w in at],
            hoverinfo="text",
            row=2,
            col=1,
        )
    mark(result, 0.0, len(order), "dash", row=2, col=1)
    words = record.word[order].tolist()
    result.update_yaxes(tickvals=list(range(len(words))), ticktext=words, range=[len(words) - 0.4, -0.6], row=2, col=1)
    result.update_xaxes(range=span(record.score, 0.0), row=2, col=1)


def rows(record: EmbeddingAssociation) -> pd.DataFrame:
    """One target word a row: its set, its score, the effect size of the word alone, and p."""
    return pd.DataFrame(
        {
            "word": record.word,
            "set": np.array(record.targets)[record.target_of],
            "score": record.score,
            "effect size alone": record.word_effect,
            "p": record.word_p,
            "p (Holm)": record.word_p_holm,
        }
    )


def says(record: EmbeddingAssociation) -> str:
    """The effect size with its interval, its p, and what random words give."""
    if record.status == "not_measured":
        return f"Not measured because {record.reason}."
    first, second = record.attributes
    sizes = record.sizes()
    who = " compared with ".join(f"{name} ({n} words)" for name, n in zip(record.targets, sizes))
    more = "nearer" if record.effect >= 0 else "less near"
    how = f"all {record.partitions:,} ways to deal the words" if record.exact else f"{record.partitions:,} ways drawn"
    beyond = "beyond" if record.p < 0.05 else "no more than"
    random = (
        f"random words from like places of the vocabulary reach {number(record.control95)} one time in 20"
        if not np.isnan(record.control95)
        else "there were too few other words to compare with random ones"
    )
    return (
        f"In {record.of} {who} are {more} to {first} ({sizes[-2]} words) than to {second} "
        f"({sizes[-1]} words): effect size {number(record.effect, record.low, record.high)}, {beyond} chance "
        f"({p_value(record.p)}, {how}); {random}."
    )
