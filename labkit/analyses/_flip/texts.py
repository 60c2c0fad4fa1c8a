"""Words that name a group exchanged in sentences and in templates; and neutral words, for comparison."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from labkit.analyses._flip import neutral
from labkit.analyses._flip.design import Control, Design, Exchange
from labkit.analyses._flip.neutral import Known, cased
from labkit.core.refused import Refused
from labkit.data import identity_terms, text
from labkit.data.schema import Schema
from labkit.data.spelling import WORD, cut
from labkit.data.split import Split

Terms = Mapping[str, Sequence[str]]
GAP = "{}"
SHOWN = 90
PAIRS = 100  # of neutral words, each put into every template


def exchanged(
    sentence: str,
    terms: Terms,
    source: str,
    target: str,
    known: Known,
    missed: Counter[str],
    doubtful: Collection[str] = identity_terms.AMBIGUOUS,
) -> tuple[str, list[str]]:
    """The sentence with the words of two groups in each other's place, and these words; "a" and "an" follow. Words of
    which the model does not know one of the two stay, and are counted."""
    place: dict[str, list[tuple[str, int]]] = {}
    for group, other in ((source, target), (target, source)):
        for slot, word in enumerate(terms[group]):
            if word.lower() not in doubtful and word != terms[other][slot]:
                place.setdefault(word.lower(), []).append((other, slot))
    parts, done = cut(sentence, WORD), []
    for i in range(1, len(parts), 2):
        whole, _, ending = parts[i].replace("\u2019", "'").partition("'")
        found = place.get(whole.lower())
        if not found or ending not in ("", "s"):
            continue
        other, slot = found[_use(found, parts, i)]
        new = terms[other][slot]
        if not known.knows(new) or not known.knows(whole):
            missed[new if known.knows(whole) else whole.lower()] += 1
            continue
        done.append(f"{parts[i]} → {cased(new, whole)}")
        parts[i] = cased(new, whole) + ("'s" if ending else "")
        _article(parts, i, whole, new)
    return "".join(parts), done


def _use(found: list[tuple[str, int]], parts: list[str], i: int) -> int:
    """Which of several uses a word has: "her" before a noun is a possessive, the last of its uses."""
    if len(found) == 1:
        return 0
    adjoins = i + 2 < len(parts) and not parts[i + 1].strip()
    return -1 if adjoins and parts[i + 2].lower() not in identity_terms.AFTER_OBJECT else 0


def _article(parts: list[str], i: int, old: str, new: str) -> None:
    vowel = new[:1].lower() in "aeiou"
    if i >= 3 and parts[i - 2].lower() in ("a", "an") and vowel != (old[:1].lower() in "aeiou"):
        parts[i - 2] = cased("an" if vowel else "a", parts[i - 2] if parts[i - 2] != "A" else "An")


def of_sentences(
    data: Split, terms: Terms, generator: np.random.Generator, doubtful: Collection[str] = identity_terms.AMBIGUOUS
) -> Design:
    """Every sentence that holds a word of one group, with those of another in its place, and with neutral words of like
    frequency exchanged in it."""
    known, missed = Known(data.schema), Counter[str]()
    group = _named(data.texts, terms, doubtful)
    found: list[Exchange] = []
    code: dict[frozenset[str], int] = {}  # pairs of words, by the order in which they come
    swaps: dict[int, list[str]] = {}  # the words of each sentence that are exchanged
    for source in terms:
        for target in terms:
            if source == target:
                continue
            asked = []
            for i in np.flatnonzero(group == source).tolist():
                made, done = exchanged(data.texts[i], terms, source, target, known, missed, doubtful)
                if done:
                    pair = code.setdefault(frozenset(done[0].lower().split(" → ")), len(code))
                    asked.append((i, made, f"{made[:SHOWN]} ({', '.join(done)})", pair))
                    swaps.setdefault(i, [d.partition(" → ")[0] for d in done])
            if asked:
                found.append(_exchange(data, source, target, asked, known))
    control, chance = neutral.in_sentences(data, {w for ws in terms.values() for w in ws}, swaps, known, generator)
    rest = len(data) - len({int(i) for e in found for i in e.rows})
    return Design(data.x, np.arange(len(data)), [e for e in found if len(e.rows)], control, chance, rest, dict(missed))


def _exchange(data: Split, source: str, target: str, asked: list[tuple[int, str, str, int]], known: Known) -> Exchange:
    """One direction, of (row, sentence, what was exchanged, which pair); what stands beyond the length that is read changes
    nothing, and is left out."""
    rows, made, words, pairs = zip(*asked)
    x = known.encode(made)
    kept = np.flatnonzero((x != data.x[np.array(rows)]).any(1))
    said, odd = [words[k] for k in kept], np.zeros(len(kept), bool)
    return Exchange(source, target, np.array(rows)[kept], x[kept], said, odd, np.array(pairs)[kept])


def _named(texts: Sequence[str], terms: Terms, doubtful: Collection[str]) -> np.ndarray:
    """(n,) the group whose words a sentence holds most of, the first in the list where several do; "" where none."""
    own = {g: {w.lower() for w in ws} - set(doubtful) for g, ws in terms.items()}
    own = {g: ws - set().union(*(o for h, o in own.items() if h != g)) for g, ws in own.items()}
    found = []
    for sentence in texts:
        words = [w.removesuffix("'s") for w in text.words(sentence)]
        held = {g: sum(w in ws for w in words) for g, ws in own.items()}
        best = max(held, key=lambda g: held[g])
        found.append(best if held[best] else "")
    return np.array(found)


def of_templates(
    asked: str,
    schema: Schema,
    templates: Sequence[str],
    terms: Terms,
    neutral_words: Sequence[str] | None,
    generator: np.random.Generator,
) -> Design:
    """Every template with every group's words, one at a time, and the same with another group's; for comparison with
    neutral words in place of each other.

    Raises:
        Refused: a template without one {}, or none of the words known to the model.
    """
    for template in templates:
        if template.count(GAP) != 1:
            raise Refused(
                f"{asked} with templates", repr(template), 'sentences with one {} each: "{} people are late."'
            )
    known = Known(schema)
    length = min(len(ws) for ws in terms.values())
    if any(len(ws) != length for ws in terms.values()):
        given = ", ".join(f"{g}: {len(ws)} words" for g, ws in terms.items())
        raise Refused(f"{asked} with terms", given, "as many words for every group, the k-th exchanged with the k-th")
    strange = Counter(w for ws in terms.values() for w in ws if not known.knows(w))
    slots = {g: [k for k, w in enumerate(ws) if known.knows(w)] for g, ws in terms.items()}
    groups = list(terms)
    made = [(t, g, k) for g in terms for k in slots[g] for t in range(len(templates))]
    at = {place: i for i, place in enumerate(made)}
    if not made:
        raise Refused(f"{asked} with templates", "no word that the model knows", "terms= of its vocabulary")
    x = known.encode([filled(templates[t], terms[g][k]) for t, g, k in made])
    found = []
    for g in terms:
        for h in terms:
            pairs = [
                (at[t, g, k], at[t, h, k])
                for t, own, k in made
                if own == g and k in slots[h] and terms[g][k] != terms[h][k]
            ]
            if g == h or not pairs:
                continue
            rows, to = np.array(pairs).T
            sides = sorted((groups.index(g), groups.index(h)))
            slot = [(made[i][2] * len(groups) + sides[0]) * len(groups) + sides[1] for i in rows]
            words = [f"{templates[made[i][0]]} ({terms[g][made[i][2]]} → {terms[h][made[j][2]]})" for i, j in pairs]
            found.append(Exchange(g, h, rows, x[to], words, np.zeros(len(rows), bool), np.array(slot)))
    plain = [w for w in (identity_terms.NEUTRAL if neutral_words is None else neutral_words) if known.knows(w)]
    controls, chance = [], None
    if len(plain) > 1:
        answers = known.encode([filled(t, w) for w in plain for t in templates]).reshape(len(plain), len(templates), -1)
        t = np.array([place[0] for place in made])
        one, other = np.array([generator.permutation(len(plain))[:2] for _ in made]).T
        controls = [Control("neutral words", np.arange(len(made)), answers[one, t], answers[other, t])]
        first, second = np.triu_indices(len(plain), 1)
        some = generator.permutation(len(first))[:PAIRS]
        before, after = (answers[side[some]].reshape(-1, answers.shape[2]) for side in (first, second))
        chance = Control("pairs of neutral words", np.repeat(np.arange(len(some)), len(templates)), before, after)
    return Design(x, np.array([t for t, _, _ in made]), found, controls, chance, 0, dict(strange))


def filled(template: str, word: str) -> str:
    """The template with the word in its gap: a capital at its start, and "a" or "an" as the word asks."""
    before, after = template.split(GAP)
    vowel = word[:1].lower() in "aeiou"
    before = re.sub(r"\b([Aa])n? $", lambda m: f"{m[1]}{'n' if vowel else ''} ", before)
    return before + (word if before.strip() else word[:1].upper() + word[1:]) + after
