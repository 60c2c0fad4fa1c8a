"""Does the answer change when a protected attribute is exchanged, and nothing else is?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from labkit.analyses._columns import class_of
from labkit.analyses._flip.answers import asked_of, stated
from labkit.analyses._flip.design import Design
from labkit.analyses._flip.tables import Along, of_table
from labkit.analyses._flip.texts import Terms, of_sentences, of_templates
from labkit.analyses._guard import Run, as_split, check_classifier, unchanged
from labkit.analyses._preflight import preflight
from labkit.core import resampling
from labkit.core.refused import Refused, unknown
from labkit.data import identity_terms
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.flip_test import FlipTest, nothing

ASKED = "flip_test"
BATCH = 1024


def flip_test(
    model: Classifier,
    data: Split,
    by: str = "",
    *,
    positive: int | str | None = None,
    along: Along | None = None,
    terms: Terms | None = None,
    templates: Sequence[str] = (),
    neutral: Sequence[str] | None = None,
    rows: int = 10_000,
    seed: int = 0,
    batch_size: int = BATCH,
) -> FlipTest:
    """The share of answers that change when a protected attribute is exchanged in the inputs and nothing else: for a table
    the column's value by every other, for texts the words that name a group (Garg et al., 2019, arXiv 1809.10610; with
    templates Dixon et al., 2018, doi 10.1145/3278721.3278729).

    By direction, with promoted and demoted apart; shares have exact intervals, mean changes of the probability Student's,
    and directions McNemar's exact test. Beside it stands what other exchanges do in the same inputs: for tables another
    person's value in each other column, for texts neutral words of like frequency, so that mere sensitivity is not called
    bias. The mean change of two words is set beside that of pairs of neutral words, of which some also move the answer one way.
    An answer that stays says nothing of columns that stand in for the attribute: labkit.proxies looks for these.

    Args:
        data: a table; texts; with ``templates`` any texts of the model's kind, whose vocabulary is taken.
        by: a column; or one of the lists of ``labkit.data.identity_terms``; or, with ``terms``, what they are called.
        positive: the class that counts as positive; may be left out when the classes are 0 and 1.
        along: values of other columns that are exchanged along, so that no impossible person results, as in
            ``{"relationship": {"Husband": "Wife", "Wife": "Husband"}}``; alone, where the attribute is no column.
        terms: words by group, the k-th of one exchanged with the k-th of another; without ``templates`` in the sentences of
            ``data``.
        templates: sentences with one {} each, where the words come.
        neutral: words that take turns in the templates for comparison.
        rows: inputs at most, drawn by the seed.

    Raises:
        Refused: data of another kind, unknown names, a column of numbers, words that no group shares a place with.
    """
    check_classifier(model, ASKED)
    if not isinstance(data, Split) or data.schema.modality not in ("tabular", "text"):
        given = f"{data.schema.modality} data" if isinstance(data, Split) else f"a {type(data).__name__}"
        raise Refused(ASKED, given, "a table or texts: a Split such as data.test")
    if not isinstance(rows, int | np.integer) or isinstance(rows, bool) or rows < 2:
        raise Refused(ASKED, f"rows={rows!r}", "a whole number of at least 2")
    templates = [templates] if isinstance(templates, str) else list(templates)
    index = _positive(model, positive)
    if len(data) > rows and not templates:
        data = data[np.sort(resampling.stream(seed, ASKED).permutation(len(data))[:rows])]
    x, y, about = as_split(data, model)
    options = {"by": by, "positive": model.classes[index], "along": along or {}, "rows": rows}
    words = {"terms": terms or {}, "templates": templates, "neutral": list(neutral or ())}
    run = Run(ASKED, {**options, **words}, seed, model, about, batch_size)
    preflight(run, model, x, y if y is None or y.min() >= 0 else None)
    inputs = "template sentences" if templates else "people" if data.schema.modality == "tabular" else "sentences"
    design = _design(data, by, along, terms, templates, neutral, resampling.stream(seed, ASKED, "exchange"))
    reason = _reason(data, by, design)
    if reason:
        fields = nothing(by, inputs, model.classes[index], len(x))
    else:
        with unchanged(model):
            fields = stated(asked_of(run, model, design, index), design, model, resampling.stream(seed, ASKED, "null"))
        fields |= {"attribute": by or "identity terms", "inputs": inputs, "positive": model.classes[index]}
    for warning in design.warnings:
        run.warn(warning)
    return FlipTest(
        provenance=run.provenance(),
        status="not_measured" if reason else "measured",
        reason=reason,
        warnings=tuple(run.warnings),
        **fields,
    )


def _positive(model: Classifier, positive: int | str | None) -> int:
    """The positive class: the one named, or the 1 of {0, 1}."""
    if positive is not None:
        return class_of(f"{ASKED} with a positive class", model, positive)
    if list(model.classes) in (["0", "1"], ["False", "True"]):
        return 1
    named = ", ".join(map(repr, model.classes))
    raise Refused(ASKED, f"classes {named} and none named as positive", f"positive= with one of {named}")


def _design(
    data: Split,
    by: str,
    along: Along | None,
    terms: Terms | None,
    templates: Sequence[str],
    neutral: Sequence[str] | None,
    generator: np.random.Generator,
) -> Design:
    """What is asked of the model, by the kind of data."""
    if data.schema.modality == "tabular":
        if terms or templates:
            raise Refused(ASKED, "terms or templates for a table", "along= for values that go with the attribute")
        names = [f.name for f in data.schema.features]
        if by not in names and by not in data.groups:
            raise unknown(f"{ASKED} by", by, {*names, *data.groups})
        design = of_table(ASKED, data, by, along, generator)
        design.warnings += _strange(design)
        return design
    if along:
        raise Refused(ASKED, "along= for texts", "terms= with words by group")
    lists = identity_terms.IN_TEMPLATES if templates else identity_terms.ATTRIBUTES
    if terms is None and by not in lists:
        raise unknown(f"{ASKED} by words for", by, lists)
    chosen: Mapping[str, Sequence[str]] = lists[by] if terms is None else terms
    if len(chosen) < 2 or any(isinstance(w, str) or not len(w) for w in chosen.values()):
        raise Refused(
            f"{ASKED} with terms", repr(chosen)[:80], 'lists of words for two groups: {"a": [...], "b": [...]}'
        )
    if len({len(w) for w in chosen.values()}) > 1:
        given = ", ".join(f"{g}: {len(w)} words" for g, w in chosen.items())
        raise Refused(f"{ASKED} with terms", given, "as many words for every group, the k-th exchanged with the k-th")
    if templates:
        design = of_templates(ASKED, data.schema, templates, chosen, neutral, generator)
    elif not data.texts:
        raise Refused(
            f"{ASKED} on {data.name}", "word numbers without their texts", "a Split with texts, or templates="
        )
    else:
        design = of_sentences(data, chosen, generator, identity_terms.AMBIGUOUS if terms is None else ())
    if design.unknown:
        some = ", ".join(sorted(design.unknown, key=lambda w: (-design.unknown[w], w))[:6])
        times = sum(design.unknown.values())
        design.warnings.append(f"{times} times nothing was exchanged, since the model does not know a word: {some}")
    return design


def _strange(design: Design) -> list[str]:
    odd = {int(i) for e in design.exchanges for i in e.rows[e.odd]}
    if not odd:
        return []
    return [
        f"{len(odd)} of {len(design.x)} people become, in some direction, what hardly occurs in these data; along= exchanges "
        "what goes with the attribute"
    ]


def _reason(data: Split, by: str, design: Design) -> str:
    """Why nothing can be said, where nothing was exchanged."""
    if design.exchanges:
        return ""
    if data.schema.modality == "tabular":
        return (
            f"the answer cannot change: {by} is not an input of the model; labkit.proxies says what stands in for it, and "
            "along= exchanges values of columns that hold it"
        )
    missed = f"; unknown to the model: {', '.join(sorted(design.unknown)[:6])}" if design.unknown else ""
    return f"no input of {data.name} holds a word for {by or 'a group'} that could be exchanged{missed}"
