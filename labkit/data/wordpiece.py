"""Text as numbers of word pieces, as BERT reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labkit.core.refused import Refused

PADDING, UNKNOWN = "[PAD]", "[UNK]"


def numbering(vocabulary: Sequence[str]) -> Callable[[str], list[int]]:
    """A function from a text to the numbers of its pieces, without the marks at its ends.

    Lower case, accents off, punctuation apart; then each word falls into the longest pieces of the vocabulary, from its
    start on (J. Devlin et al., 2018, BERT, arXiv 1810.04805).

    Raises:
        Refused: the package tokenizers is not installed.
    """
    try:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    except ImportError:
        given = "no package tokenizers"
        raise Refused("texts as word pieces", given, 'pip install "labkit[text]"') from None
    pieces = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token=UNKNOWN))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return lambda text: list(pieces.encode(text, add_special_tokens=False).ids)
