"""A model's answer as a graph of functions: affine ones, and those that a relaxation puts between two affine ones.

The graph is written down where torch's functions are called, so that it needs no list of a model's modules: functional,
shared and in-place calls stand in it like any other. It is computed in float64, and answered again on other rows and
compared with the model: what was computed out of sight is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from labkit.certificates._functions import ABOUT, RULES, TYPES
from labkit.certificates._relaxations import Relaxation
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier
from labkit.models.functions import out_of_place, plain_name

INSTEAD = (
    "a model of linear layers, convolutions, batch normalisation, ReLU, leaky ReLU, sigmoid, tanh, pooling and sums; or "
    "randomized_smoothing, which asks for answers only"
)
SAME = 1e-9  # by which float64 answers of graph and model may differ, relative to the largest


@dataclass(frozen=True)
class Node:
    """One function of earlier nodes.

    Attributes:
        name: of the function. parents: positions of its arguments in the graph.
        shape: of one row of its value.
        forward: the function, of (n, *shape) values of its parents.
        size: for an affine function, how far its value moves at most: a function of how far each parent does.
        relaxation: for another, what it lies between.
    """

    name: str
    parents: tuple[int, ...]
    shape: torch.Size
    forward: Callable[..., Tensor] = field(repr=False)
    size: Callable[..., Tensor] | None = None
    relaxation: Relaxation | None = None


def as_rows(values: Tensor) -> Tensor:
    """(n, *shape) as (n, entries): one entry where a row's value is a single number. A view where it can be one."""
    return values.reshape(len(values), -1)


@dataclass
class Graph:
    """A model's answer, from its input (node 0) to its logits (the last node)."""

    nodes: list[Node]
    tapes: dict[tuple[int, int], Any] = field(default_factory=dict, repr=False)
    reaches: dict[tuple[int, str], Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.straight = [True]
        for node in self.nodes[1:]:
            self.straight.append(node.relaxation is None and all(self.straight[p] for p in node.parents))
        self.relaxed = {p: n.relaxation for n in self.nodes if n.relaxation for p in n.parents}

    def value(self, x: Tensor, at: int = -1) -> Tensor:
        """(n, *shape) the value of a node, by default the logits, for (n, *shape) inputs."""
        at %= len(self.nodes)
        needed = {at}
        for i in range(at, 0, -1):
            needed |= set(self.nodes[i].parents) if i in needed else set()
        values = {0: x}
        for i in sorted(needed - {0}):
            values[i] = self.nodes[i].forward(*(values[p] for p in self.nodes[i].parents))
        return values[at]

    def pull(self, at: int, weight: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """An affine node's value weighed by (rows, *shape), as a sum over its parents: (rows,) the constant part, and
        each parent's weight."""
        node, rows = self.nodes[at], len(weight)
        padded = 1 << (rows - 1).bit_length()  # few sizes, so that the function runs forward once for each
        if (at, padded) not in self.tapes:
            with torch.enable_grad():
                zeros = [weight.new_zeros(padded, *self.nodes[p].shape, requires_grad=True) for p in node.parents]
                self.tapes[at, padded] = zeros, node.forward(*zeros)
        zeros, value = self.tapes[at, padded]
        constant = as_rows(weight * value[:1].detach()).sum(1)
        if rows < padded:
            weight = torch.cat([weight, weight.new_zeros(padded - rows, *node.shape)])
        found = torch.autograd.grad(value, zeros, weight, retain_graph=True, allow_unused=True)
        return constant, tuple(None if part is None else part[:rows] for part in found)


class Trace(TorchFunctionMode):
    """While it is entered, every torch function that sees the input's consequences is written down as a node."""

    def __init__(self, asked: str, x: Tensor) -> None:
        super().__init__()
        self.asked, self.rows = asked, len(x)
        self.nodes = [Node("input", (), x.shape[1:], lambda: x)]
        self.known: dict[int, tuple[Tensor, int]] = {id(x): (x, 0)}  # tensors are held, so that no number comes again

    def refuse(self, given: str) -> Refused:
        return Refused(self.asked, f"a model with {given}", INSTEAD)

    def at(self, value: Any) -> int | None:
        """The node of a tensor; None for what does not depend on the input."""
        found = self.known.get(id(value)) if isinstance(value, Tensor) else None
        return None if found is None else found[1]

    def add(self, node: Node, value: Tensor) -> Tensor:
        """Write a node down, with its value for the rows that are traced."""
        if not isinstance(value, Tensor) or value.ndim < 1 or len(value) != self.rows:
            raise self.refuse(f"the function {node.name}, which leaves no axis of rows")
        self.nodes.append(replace(node, shape=value.shape[1:]))
        self.known[id(value)] = (value, len(self.nodes) - 1)
        return value

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if next(self._signals((args, kwargs)), None) is None:
            return func(*args, **kwargs)
        name, in_place = plain_name(func, kwargs, RULES)
        if name in ABOUT:
            return func(*args, **kwargs)
        if name in TYPES:
            return args[0]  # float64 throughout
        rule = RULES.get(name)
        if rule is None:
            raise self.refuse(f"the function {name}, for which no bounds are known")
        result = rule(self, name, out_of_place(func, name) if in_place else func, args, kwargs)
        if not in_place:
            return result
        args[0].copy_(result)
        self.known[id(args[0])] = (args[0], self.known[id(result)][1])
        return args[0]

    def _signals(self, tree: Any) -> Iterator[int]:
        """The nodes among (nested) arguments."""
        if isinstance(tree, dict):
            tree = list(tree.values())
        if isinstance(tree, list | tuple):
            for part in tree:
                yield from self._signals(part)
        elif (at := self.at(tree)) is not None:
            yield at


_graphs: WeakKeyDictionary[Classifier, dict[tuple[torch.Size, str], tuple[Graph, Classifier]]] = WeakKeyDictionary()


def graph(model: Classifier, x: Tensor, asked: str) -> tuple[Graph, Classifier]:
    """A model's graph and its copy in float64; kept for as long as the model is, and its weights as they are.

    Raises:
        Refused: a function for which no bounds are known, with its name; parts that are computed out of sight.
    """
    kept, key = _graphs.setdefault(model, {}), (x.shape[1:], model.digest)
    if key not in kept:
        kept.clear()  # other inputs, or weights that were changed since
        exact = replace(model, module=copy.deepcopy(model.module).double())
        kept[key] = _traced(exact, x.double(), asked), exact
    return kept[key]


def _traced(model: Classifier, x: Tensor, asked: str) -> Graph:
    rows = x[:1].repeat(2, *[1] * (x.ndim - 1))
    trace = Trace(asked, rows)
    with torch.no_grad():
        with trace:
            result = model(rows)
        if trace.at(result) is None:
            raise trace.refuse("an output whose way from the input is out of sight")
        made = Graph(trace.nodes[: trace.known[id(result)][1] + 1])
        # Three rows and one, where two were traced, so that a size of the batch that was written down shows too.
        noise = torch.rand(rows[:1].shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype).to(x)
        scale = x.abs().max().clamp_min(1.0)
        others = torch.cat([x[-1:], scale * noise, -scale * noise])
        for part in (others, others[1:2]):
            try:
                gap, most = (made.value(part) - (there := model(part))).abs().max(), there.abs().max()
            except (RuntimeError, IndexError) as error:
                raise trace.refuse(f"a part that depends on how many rows there are ({error})") from None
            if not gap <= SAME * (1 + most):
                raise trace.refuse(f"a part that is computed out of sight (answers differ by {float(gap):.2g})")
    return made
