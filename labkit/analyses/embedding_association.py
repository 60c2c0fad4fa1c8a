"""Do a model's word vectors put groups of people near some attributes more than near others?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labkit.analyses._guard import Run
from labkit.analyses._words import word_vectors
from labkit.analyses._words.associating import dealt, effect, items, resampled, scores
from labkit.core import intervals, resampling
from labkit.core.record import array_digest
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.data.word_sets import word_sets
from labkit.models.classifier import Classifier
from labkit.records.embedding_association import EmbeddingAssociation

ASKED = "embedding_association"
NAN = float("nan")
# With fewer words in a set no way of dealing them is rare; below the second number a few words decide.
LEAST, FEW = 4, 8
# Random sets are drawn where there are so many other words.
OTHERS = 100
Sets = Mapping[str, Sequence[str]] | Sequence[Sequence[str]]


def embedding_association(
    vectors: Mapping[str, np.ndarray] | Classifier,
    targets: str | Sets,
    attributes: Sets | None = None,
    *,
    data: Split | Dataset | None = None,
    templates: Sequence[str] = (),
    layer: str = "",
    seed: int = 0,
    replicates: int = 2000,
    permutations: int = 10_000,
    controls: int = 1000,
) -> EmbeddingAssociation:
    """Whether the first target words are nearer to the first attribute words than the second are: the word embedding
    association test (WEAT; Caliskan, Bryson and Narayanan, 2017, arXiv 1608.07187).

    A target word's score is its mean cosine with the first attributes less that with the second. The effect size is the
    difference of the two sets' mean scores over the standard deviation of all scores. Its p counts all ways to deal the
    target words to the two sets, or draws them where they are many. A single target set is set against ways to deal the
    attribute words, and so is each target word alone. Random sets of words from like places of the vocabulary show what
    any words have. With templates the words stand in sentences (SEAT; May et al., 2019, arXiv 1903.10561), of which a
    word has one vector, their mean: sentences of one word are not independent.

    An association is a fact about vectors, of few words. None found is no proof that a model treats people alike.

    Args:
        vectors: vectors by word, frequent words first if their order is to say so; or a text model.
        targets: two sets of words, or one, if need be by name; or the name of a published test
            (``labkit.data.word_sets.names()``), which brings its attributes.
        attributes: two sets of words.
        data: of a text model, whose vocabulary says how words are numbered.
        templates: sentences with one {} each, such as "This is {}.". layer: where their features are taken, by default
            what the last linear layer takes in.
        permutations, replicates, controls: draws, for p where not all ways are counted, the interval, and random sets.

    Returns:
        EmbeddingAssociation; "not_measured" where a set has fewer than 4 words with vectors. Fewer than 8 are warned of.

    Raises:
        Refused: an unknown test, a word in both sets, vectors of unlike lengths or without a direction, a model without
            its data.
    """
    of = vectors.name if isinstance(vectors, Classifier) else "word vectors"
    wanted = _sets(targets, attributes)
    options = {"templates": tuple(templates), "layer": layer, "replicates": replicates, "permutations": permutations}
    run, known = _vocabulary(vectors, data, options, templates, layer, seed)
    if min(replicates, permutations, controls) < 100:
        raise Refused(ASKED, f"{min(replicates, permutations, controls)} draws", "100 or more")
    found = [{s for w in words if (s := known.spelt(w))} for words in wanted.values()]
    missing = tuple(w for words in wanted.values() for w in words if not known.spelt(w))
    ordered = [[s for w in dict.fromkeys(words) if (s := known.spelt(w))] for words in wanted.values()]
    names, sizes = tuple(wanted), [len(words) for words in ordered]
    for a, b in ((0, 1), (-2, -1)) if len(names) == 4 else ((-2, -1),):
        if found[a] & found[b]:
            given = f"{', '.join(sorted(found[a] & found[b])[:5])} both in {names[a]} and in {names[b]}"
            raise Refused(ASKED, given, "sets without a word in common")
    if missing:
        run.warn(f"{len(missing)} words have no vector and take no part: {', '.join(missing[:8])}")
    small = [f"{name} ({n})" for name, n in zip(names, sizes) if n < FEW]
    if small:
        run.warn(f"fewer than {FEW} words in {', '.join(small)}: a few words decide")
    enough = min(sizes) >= LEAST
    numbers = _measured(known, ordered, (seed, replicates, permutations, controls), run) if enough else _nothing(sizes)
    reason = f"a set has fewer than {LEAST} words with vectors ({', '.join(small)}); it takes more words"
    return EmbeddingAssociation(
        provenance=run.provenance(),
        status="measured" if enough else "not_measured",
        reason="" if enough else reason,
        warnings=tuple(run.warnings),
        of=of,
        templates=tuple(templates),
        layer=(layer or "head") if templates else "",
        targets=names[:-2],
        attributes=names[-2:],
        word=np.array([w for words in ordered[:-2] for w in words], str),
        target_of=np.repeat(np.arange(len(names) - 2), sizes[:-2]),
        attribute=np.array([w for words in ordered[-2:] for w in words], str),
        attribute_of=np.repeat([0, 1], sizes[-2:]),
        missing=missing,
        controls=controls,
        **numbers,
    )


def _sets(targets: str | Sets, attributes: Sets | None) -> dict[str, tuple[str, ...]]:
    """The target sets and then the two attribute sets, by name."""
    if isinstance(targets, str):
        if attributes is not None:
            raise Refused(f"{ASKED} {targets}", "attributes beside a published test", "either of them")
        targets, attributes = word_sets(targets)
    parts = []
    for what, sets in (("targets", targets), ("attributes", attributes or ())):
        named = sets if isinstance(sets, Mapping) else {f"{what} {i}": words for i, words in enumerate(sets, 1)}
        if any(isinstance(words, str) for words in named.values()):
            raise Refused(ASKED, f"{what} that are texts", "lists of words")
        parts.append({name: tuple(words) for name, words in named.items()})
    if len(parts[0]) not in (1, 2) or len(parts[1]) != 2 or set(parts[0]) & set(parts[1]):
        given = f"{len(parts[0])} target sets and {len(parts[1])} attribute sets"
        raise Refused(ASKED, given, "one or two target sets and two attribute sets, all of different names")
    return parts[0] | parts[1]


def _vocabulary(
    vectors: Any, data: Any, options: dict[str, Any], templates: Sequence[str], layer: str, seed: int
) -> tuple[Run, word_vectors.Vocabulary]:
    if isinstance(vectors, Mapping):
        if not vectors or templates:
            given = "templates beside vectors of words" if vectors else "no vectors"
            raise Refused(ASKED, given, "vectors by word; templates are for a text model")
        known = word_vectors.given(ASKED, vectors)
        about = {"name": "word vectors", "n": len(vectors), "sha256": array_digest(*map(np.asarray, vectors.values()))}
        return Run(ASKED, options, seed, data=about), known
    split = data.test if isinstance(data, Dataset) else data
    if isinstance(vectors, Classifier) and not isinstance(split, Split):
        raise Refused(f"{ASKED} of {vectors.name}", "no data", "data= with the data set whose words the model reads")
    run = Run(ASKED, options, seed, vectors, split.describe() if split is not None else {})
    return run, word_vectors.of_model(run, vectors, split.schema, templates, layer)


def _measured(
    known: word_vectors.Vocabulary, ordered: Sequence[Sequence[str]], draws: tuple[int, int, int, int], run: Run
) -> dict[str, Any]:
    seed, replicates, permutations, controls = draws
    columns = known.vectors([w for words in ordered[-2:] for w in words])
    cosines = known.vectors([w for words in ordered[:-2] for w in words]) @ columns.T
    sizes = [len(words) for words in ordered]
    sets, attributes = (sizes[0], sizes[1] if len(sizes) == 4 else 0), (sizes[-2], sizes[-1])
    values, first = items(cosines, sets, attributes)
    size = float(effect(values, first))
    tested = dealt(values[None], first, permutations, resampling.stream(seed, ASKED, "dealt"))
    alone = dealt(cosines, attributes[0], permutations, resampling.stream(seed, ASKED, "words"))
    boot = resampled(cosines, sets, attributes, replicates, resampling.stream(seed, ASKED, "bootstrap"))
    low, high = resampling.bias_corrected(boot, size)
    null = _controls(known, ordered, columns, sets, attributes, controls, resampling.stream(seed, ASKED, "controls"))
    if null is None:
        run.warn(f"fewer than {OTHERS} other words: no random sets to compare with")
    return {
        "score": scores(cosines, attributes[0]),
        "word_effect": effect(cosines, attributes[0]),
        "word_p": alone.p,
        "word_p_holm": intervals.holm(alone.p),
        "effect": size,
        "low": max(low, -2.0),
        "high": min(high, 2.0),
        "p": float(tested.p[0]),
        "p_one_sided": float(tested.one_sided[0]),
        "exact": tested.exact,
        "partitions": tested.partitions,
        "control95": NAN if null is None else float(np.nanquantile(null, 0.95)),
        "p_control": NAN if null is None else resampling.share_as_large(null, abs(size)),
    }


def _nothing(sizes: Sequence[int]) -> dict[str, Any]:
    each = dict.fromkeys(("score", "word_effect", "word_p", "word_p_holm"), np.full(sum(sizes[:-2]), NAN))
    numbers = dict.fromkeys(("effect", "low", "high", "p", "p_one_sided", "control95", "p_control"), NAN)
    return {**each, **numbers, "exact": False, "partitions": 0}


def _controls(
    known: word_vectors.Vocabulary,
    ordered: Sequence[Sequence[str]],
    columns: np.ndarray,
    sets: tuple[int, int],
    attributes: tuple[int, int],
    controls: int,
    generator: np.random.Generator,
) -> np.ndarray | None:
    """(controls,) sizes of the effects of random words: each target word's place is taken by one from near it in the
    vocabulary, or from anywhere where it has no place. None where there are too few."""
    used = {w for words in ordered for w in words}
    others = np.array([w for w in known.place if w not in used])
    if len(others) < OTHERS:
        return None
    places = np.array([known.place[w] for w in others])
    pool = []  # so many words for each target word, so that not the whole vocabulary has to be read
    for word in (w for words in ordered[:-2] for w in words):
        at = known.place.get(word)
        near = np.argsort(np.abs(places - at), kind="stable") if at is not None else generator.permutation(len(others))
        pool.append(near[: known.near])
    chosen, code = np.unique(np.array(pool), return_inverse=True)
    cosines = known.vectors(others[chosen].tolist()) @ columns.T
    picked = generator.integers(known.near, size=(controls, len(pool)))
    values, first = items(cosines[code.reshape(len(pool), -1)[np.arange(len(pool)), picked]], sets, attributes)
    return np.abs(effect(values, first))
