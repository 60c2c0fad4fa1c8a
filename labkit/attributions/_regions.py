"""Which entries of an input make one feature, when the caller does not say."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.models.classifier import Classifier

# A row of more numbers than this is taken for a signal and cut into stretches; a shorter one is a table's columns.
COLUMNS = 512


def regions(model: Classifier, x: Tensor, features: Tensor | None, cells: int) -> Tensor:
    """(entries,) the number of the feature that each entry of an input belongs to, from 0.

    ``features`` as given; else ``cells`` x ``cells`` rectangles of a picture over all its channels, steps of a series
    over all its channels and stretches of a sound (at most ``cells`` squared), and elsewhere one entry: a column, a word.
    """
    if features is not None:
        return features.flatten()
    return torch.unique(_places(model, x, cells), dim=0, return_inverse=True)[1]


def hierarchy(model: Classifier, x: Tensor, features: Tensor | None, cells: int) -> tuple[Tensor, Tensor]:
    """(entries,) features as above, and (levels, features) the node of each in a tree, from its root to its leaves.

    ``features`` are the tree's first branches; else a picture beside words is one and the words another. Below, pictures
    fall into quadrants, words and signals into halves, again and again; a table's columns are one branch.
    """
    places = _places(model, x, cells)
    parts = [features.flatten()] if features is not None else [places[:, 0].long()]
    depth = 0 if _is_table(model, x) else max(1, int((1 / _step(places)).ceil().log2().ceil()))
    parts += [_numbered((places * 2**level).floor()) for level in range(1, depth)]
    parts.append(_numbered(places))
    nodes = [parts[0]]
    for part in parts[1:]:  # a branch never reaches over those above it
        nodes.append(_numbered(torch.stack([nodes[-1], part], 1)))
    leaf = nodes[-1]
    tree = torch.zeros(len(nodes), int(leaf.max()) + 1, dtype=torch.int64, device=x.device)
    for level, node in zip(tree, nodes):
        level[leaf] = node
    return leaf, tree


def _places(model: Classifier, x: Tensor, cells: int) -> Tensor:
    """(entries, 3) float64: the part of the input, and where the entry's cell begins, as shares of height and width."""
    shape = x.shape[1:]
    picture = tuple(getattr(model.module, "picture", ())) or (tuple(shape) if x.ndim == 4 else ())
    if picture:
        channels, height, width = picture
        down, across = _begin(height, cells), _begin(width, cells)
        grid = torch.stack([torch.zeros(height, width).double(), *torch.meshgrid(down, across, indexing="ij")], 2)
        begun = grid.flatten(0, 1).repeat(channels, 1)
    else:
        begun = torch.zeros(0, 3).double()
    rest = shape.numel() - len(begun)
    if rest:
        steps = rest if len(begun) else shape[-1]
        along = _begin(steps, cells**2 if x.ndim == 3 or is_signal(model, x) else steps).repeat(rest // steps)
        words = torch.stack([torch.full_like(along, float(len(begun) > 0)), torch.zeros_like(along), along], 1)
        begun = torch.cat([begun, words])
    return begun.to(x.device)


def _begin(length: int, cells: int) -> Tensor:
    """(length,) where the cell of each step begins, as a share of the whole."""
    count = min(cells, length)
    return (torch.arange(length) * count // length).double() / count


def is_signal(model: Classifier, x: Tensor) -> bool:
    """Whether rows are one long line of numbers, such as a sound."""
    plain = x.ndim == 2 and x.is_floating_point() and not hasattr(model.module, "picture")
    return plain and x.shape[1] > COLUMNS


def _is_table(model: Classifier, x: Tensor) -> bool:
    plain = x.ndim == 2 and x.is_floating_point() and not hasattr(model.module, "picture")
    return plain and x.shape[1] <= COLUMNS


def _step(places: Tensor) -> Tensor:
    """The least distance between the beginnings of two cells along one axis."""
    gaps = [torch.unique(axis).diff() for axis in places[:, 1:].T]
    return torch.cat([*gaps, torch.ones(1, dtype=places.dtype, device=places.device)]).min()


def _numbered(values: Tensor) -> Tensor:
    """The rows of ``values`` as numbers from 0, equal where the rows are."""
    return torch.unique(values, dim=0, return_inverse=True)[1]
