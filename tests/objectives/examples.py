"""Inputs for every registered objective, so that sweeps need no list of objectives.

A sweep asks for `examples(objective, rows)`. Inputs are made by the name of the argument; a new
objective whose arguments have new names, or another shape than usual, adds them to `INPUTS`.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.encoders.graph_convolution import TwoConvolutions, convolution_weights
from counterpoint.encoders.pair_weight import PairWeight
from counterpoint.objectives import Objective
from counterpoint.objectives.graph_bounds import weight_bounds
from counterpoint.pairs.clusterings import Prototypes

WIDTH = int(os.environ.get("EXAMPLES_WIDTH", "5"))
CLASSES, TOKENS, VOCABULARY = 4, 3, 8


@dataclass(frozen=True)
class Input:
    """What an argument is given.

    Attributes:
        value: a tensor, several, or anything else an objective takes.
        trained: its tensors receive gradients.
        axes: the dimensions that run over samples; none where all ranks hold the same.
        positions: its numbers are those of rows.
    """

    value: Any
    trained: bool = False
    axes: tuple[int, ...] = (0,)
    positions: bool = False

    def tensors(self) -> list[Tensor]:
        values = self.value if isinstance(self.value, list) else [self.value]
        return [x for x in values if isinstance(x, Tensor)]

    def map(self, change: Callable[[Tensor], Tensor]) -> Input:
        """The same with every tensor changed."""
        return replace(self, value=_mapped(self.value, change))


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(x, change) for x in value)
    if isinstance(value, nn.Module):
        return copy.deepcopy(value)._apply(change)
    if dataclasses.is_dataclass(value):
        return replace(value, **{k: _mapped(x, change) for k, x in vars(value).items()})
    return value


@dataclass
class Example:
    """A call of an objective.

    Attributes:
        inputs: by argument.
        options: plain settings.
    """

    objective: Objective
    variant: str
    inputs: dict[str, Input]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.objective.name}-{self.variant}"

    @property
    def embeddings(self) -> list[Tensor]:
        """The tensors that receive gradients."""
        return [x for one in self.inputs.values() if one.trained for x in one.tensors()]

    def __call__(self, *embeddings: Tensor, **more: Any) -> Tensor:
        """The value, with other embeddings and settings if given.

        An objective that draws draws the same each time.
        """
        example = self.with_embeddings(embeddings) if embeddings else self
        if accepts(self.objective, "generator"):
            more.setdefault("generator", torch.Generator().manual_seed(0))
        positional, keyword = arguments(self.objective.function, example.inputs)
        return self.objective.function(*positional, **{**keyword, **self.options, **more})

    def with_embeddings(self, embeddings: tuple[Tensor, ...]) -> Example:
        given = iter(embeddings)
        return self._changed(lambda _, x: x.map(lambda _: next(given)) if x.trained else x)

    def with_inputs(self, **values: Any) -> Example:
        return self._changed(lambda name, x: replace(x, value=values.get(name, x.value)))

    def rows(self, part: slice) -> Example:
        """The same call on some of the samples."""

        def cut(one: Input) -> Input:
            kept = one.map(lambda x: _cut(x, one.axes, part))
            return kept.map(lambda x: x - part.start) if one.positions else kept

        return self._changed(lambda _, one: cut(one) if one.axes else one)

    def to(self, dtype: torch.dtype) -> Example:
        """The same call with numbers of another type."""

        def cast(x: Tensor) -> Tensor:
            if not x.is_floating_point():
                return x
            return x.detach().to(dtype).requires_grad_(x.requires_grad)

        return self._changed(lambda _, x: x.map(cast))

    def _changed(self, change: Callable[[str, Input], Input]) -> Example:
        return replace(self, inputs={name: change(name, x) for name, x in self.inputs.items()})


def _cut(x: Tensor, axes: tuple[int, ...], part: slice) -> Tensor:
    for axis in axes:
        x = x.narrow(axis, part.start, part.stop - part.start)
    return x


def arguments(
    function: Callable[..., Any], inputs: dict[str, Input]
) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments; positional ones where the last of them is ``*views``."""
    positional: list[Any] = []
    keyword = {name: one.value for name, one in inputs.items()}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positional = [keyword.pop(before) for before in _before(function, name)]
            positional += keyword.pop(name)
    return positional, keyword


def _before(function: Callable[..., Any], name: str) -> list[str]:
    names = list(inspect.signature(function).parameters)
    return [one for one in names[: names.index(name)] if one != "self"]


def accepts(objective: Objective, name: str) -> bool:
    return name in inspect.signature(objective.function).parameters


Maker = Callable[[int], Input]


def _trained(*shape: int) -> Maker:
    return lambda rows: Input(torch.randn(rows, *shape), trained=True)


def _constant(*shape: int) -> Maker:
    return lambda rows: Input(torch.randn(rows, *shape))


def _share(*shape: int) -> Maker:
    return lambda rows: Input(torch.rand(rows, *shape) * 0.8 + 0.1)


def _distributions(rows: int) -> Input:
    return Input(torch.randn(rows, CLASSES).softmax(1))


def _logits(trained: bool = True) -> Maker:
    return lambda rows: Input(torch.randn(rows, CLASSES), trained)


def _views(count: int, trained: bool = True) -> Maker:
    return lambda rows: Input([torch.randn(rows, WIDTH) for _ in range(count)], trained)


def _maps(count: int) -> Maker:
    return lambda rows: Input([torch.randn(rows, 2, 3, 3) for _ in range(count)])


def _shared(*shape: int, trained: bool = False) -> Maker:
    return lambda rows: Input(torch.randn(shape), trained, axes=())


def _bank(rows: int) -> Input:
    return Input(torch.randn(2 * rows, WIDTH), axes=())


def _bank_classes(classes: int) -> Maker:
    return lambda rows: Input(torch.arange(2 * rows) % classes, axes=())


def _classes(count: int) -> Maker:
    return lambda rows: Input(torch.arange(rows) % count)


def _labels_with_unknown(rows: int) -> Input:
    labels = torch.arange(rows) % 3
    labels[-1] = -1
    return Input(labels)


def _of_pairs(trained: bool) -> Maker:
    return lambda rows: Input(torch.randn(rows, rows) / 3, trained, axes=(0, 1))


def _log_probabilities(*shape: int, trained: bool = True) -> Maker:
    return lambda rows: Input(-0.1 - 3 * torch.rand(rows, *shape), trained)


def _function(value: Any) -> Maker:
    return lambda rows: Input(value, axes=())


def _ring(rows: int) -> Tensor:
    """Edges of a ring, in both directions."""
    nodes = torch.arange(rows)
    edges = torch.stack([nodes, (nodes + 1) % rows])
    return torch.cat([edges, edges.flip(0)], 1)


def _influence(rows: int) -> Input:
    return Input(convolution_weights(_ring(rows), rows), axes=())


def _clusterings(rows: int) -> Input:
    unit = nn.functional.normalize(torch.randn(3, WIDTH))
    found = [Prototypes(torch.arange(rows) // k % 3, unit, torch.full((3,), 0.3)) for k in (1, 2)]
    return Input(found, axes=())


def _convolutions(rows: int) -> Input:
    return Input(TwoConvolutions(WIDTH, 6, WIDTH, activation="relu"), axes=())


def _graph_views(rows: int) -> Input:
    edges = _ring(rows)
    whole = convolution_weights(edges, rows)
    fewer = convolution_weights(edges[:, 1:], rows)
    return Input((whole, fewer), axes=())


def _graph_bounds(rows: int) -> Input:
    return Input(tuple(weight_bounds(_ring(rows), rows, drop) for drop in (0.3, 0.4)), axes=())


def _tokens(rows: int) -> Input:
    """Different captions, up to 343, without the padding 0."""
    digits = torch.arange(rows)[:, None] // (VOCABULARY - 1) ** torch.arange(TOKENS)
    return Input(1 + digits % (VOCABULARY - 1))


def _token_logits(rows: int) -> Input:
    return Input(torch.randn(rows, TOKENS, VOCABULARY), trained=True)


EMBEDDINGS = """
    x y z z1 z2 p1 p2 anchors candidates queries features embeddings image text audio passages
    positives prediction student caption common1 common2 salient1 salient2 mixed clean personal
    remaining remaining_rebuilt forgetting forgetting_rebuilt rebuilt mean counterfactual
"""
CONSTANTS = """
    keys key teacher h1 h2 plain target remaining_teacher forgetting_teacher base negatives
"""

INPUTS: dict[str, Maker] = {
    **dict.fromkeys(EMBEDDINGS.split(), _trained(WIDTH)),
    **dict.fromkeys(CONSTANTS.split(), _constant(WIDTH)),
    "views": _views(3),
    "queue": _bank,
    "bank": _bank,
    "queue_labels": _bank_classes(3),
    "bank_labels": _bank_classes(3),
    "queue_subclasses": _bank_classes(6),
    "labels": _classes(3),
    "subclasses": _classes(6),
    "preference": lambda rows: Input(torch.arange(rows) % 4 - 1),
    "partners": lambda rows: Input((torch.arange(rows) + 1) % 3),
    "partner": lambda rows: Input((torch.arange(rows) ^ 1).clamp(max=rows - 1), positions=True),
    "share": _share(),
    "gate": _share(WIDTH),
    "score": _share(),
    "weight": _function(0.3),
    "weights": _share(),
    "deviation": lambda rows: Input(torch.rand(rows, WIDTH) + 0.5, trained=True),
    "credibility": _share(),
    "rehearsal": lambda rows: Input(torch.arange(rows) % 4 == 3),
    "similarity": _constant(2, 3),
    "targets": _constant(),
    "predictions": _constant(),
    "siamlip.v_image": _constant(3, WIDTH),
    "siamlip.v_text": _constant(3, WIDTH),
    "soft_labels": _distributions,
    "soft": _distributions,
    "votes1": _distributions,
    "votes2": _distributions,
    "logits": _logits(),
    "logits1": _logits(),
    "logits2": _logits(),
    "outputs": _logits(),
    "outputs1": _logits(),
    "outputs2": _logits(),
    "strong": _logits(),
    "weak": lambda rows: Input(4 * torch.randn(rows, CLASSES)),
    "scores1": lambda rows: Input(torch.randn(2, rows).tanh(), trained=True, axes=(1,)),
    "scores2": lambda rows: Input(torch.randn(2, rows).tanh(), trained=True, axes=(1,)),
    "counts": lambda rows: Input(torch.rand(CLASSES) + 0.5, axes=()),
    "prototypes": _shared(CLASSES, WIDTH, trained=True),
    "classes": lambda rows: Input(torch.arange(1, CLASSES), axes=()),
    "centres": _shared(CLASSES, WIDTH, trained=True),
    "support": _shared(2 * CLASSES, WIDTH, trained=True),
    "support_labels": lambda rows: Input(torch.arange(2 * CLASSES) % CLASSES, axes=()),
    "head": _shared(VOCABULARY, VOCABULARY, trained=True),
    "image_head": _shared(4, WIDTH, trained=True),
    "text_head": _shared(4, WIDTH, trained=True),
    "texts": _trained(CLASSES, WIDTH),
    "texts1": _trained(CLASSES, WIDTH),
    "texts2": _trained(CLASSES, WIDTH),
    "regions": _trained(3, WIDTH),
    "image_views": _trained(2, WIDTH),
    "text_views": _trained(2, WIDTH),
    "v_image": _trained(3, WIDTH),
    "v_text": _trained(3, WIDTH),
    "p_image": _trained(3, WIDTH),
    "p_text": _trained(3, WIDTH),
    "scores": _of_pairs(trained=True),
    "anchor_scores": _of_pairs(trained=False),
    "policy": _log_probabilities(),
    "policy_w": _log_probabilities(),
    "policy_l": _log_probabilities(),
    "policy_self": _log_probabilities(3),
    "policy_negative": _log_probabilities(),
    "reference": _log_probabilities(trained=False),
    "reference_w": _log_probabilities(trained=False),
    "reference_l": _log_probabilities(trained=False),
    "reference_self": _log_probabilities(3, trained=False),
    "reference_negative": _log_probabilities(trained=False),
    "desirable": lambda rows: Input(torch.arange(rows) % 2 == 0),
    "positive": _trained(),
    "negative": _trained(),
    "clusters": lambda rows: Input(
        torch.stack([torch.arange(rows) % 3, torch.arange(rows) // 2 % 3]), axes=(1,)
    ),
    "clusterings": _clusterings,
    "assignment": _classes(3),
    "influence": _influence,
    "pair_weight": lambda rows: Input(PairWeight(WIDTH), axes=()),
    "encoder": _convolutions,
    "bounds": _graph_bounds,
    "ar2_ranker.scores": _trained(3),
    "ar2_retriever.scores": _trained(3),
    "ar2_retriever.ranker_scores": _constant(3),
    "cacr_momentum.queries": _views(2),
    "cacr_queue.queries": _views(2),
    "cacr_queue.keys": _views(2, trained=False),
    "captioning.logits": _token_logits,
    "captioning.labels": _tokens,
    "coca.logits": _token_logits,
    "coca.labels": _tokens,
    "cosmo.logits": _token_logits,
    "cosmo.labels": _tokens,
    "contrast.positive": _function(lambda i, j: (i - j).abs() % 4 == 1),
    "contrast.valid": _function(lambda i, j: i != j),
    "contrast.weight": _function(lambda i, j: 1 + (i + j) % 2 * 0.5),
    "discrimination.similarity": _of_pairs(trained=True),
    "distant_peer.labels": _labels_with_unknown,
    "dkd.student": _logits(),
    "dkd.teacher": _logits(trained=False),
    "esimcse.queue": _constant(WIDTH),
    "fopro.prototypes": _shared(CLASSES, WIDTH),
    "hydra.keys": _trained(WIDTH),
    "hydra.gate": lambda rows: Input(torch.rand(rows, WIDTH) * 0.8 + 0.1, trained=True),
    "kd.student": _logits(),
    "kd.teacher": _logits(trained=False),
    "list_generation.prediction": _trained(3),
    "look.labels": _labels_with_unknown,
    "masked_reconstruction.prediction": _trained(2, 3, 3),
    "masked_reconstruction.target": _constant(2, 3, 3),
    "masked_reconstruction.mask": lambda rows: Input(torch.rand(rows, 3, 3).round()),
    "masked_supcon.weights": lambda rows: Input(torch.rand(rows, rows), axes=(0, 1)),
    "metrix_multi_similarity.weight": _function(0.3),
    "metrix_proxy_anchor.weight": _function(0.3),
    "mlcd.labels": lambda rows: Input(
        torch.stack([torch.arange(rows) % 4, -torch.ones(rows)], 1).long()
    ),
    "multi_label.labels": lambda rows: Input(
        torch.stack([torch.arange(rows) % 4, -torch.ones(rows)], 1).long()
    ),
    "nd.means": _constant(WIDTH),
    "pcl_sr.anchor": _trained(2, 3, 3),
    "pcl_sr.positives": _maps(2),
    "pcl_sr.negatives": _maps(2),
    "pixcontrast.queries": _trained(2, 3, 3),
    "pixcontrast.keys": _constant(2, 3, 3),
    "pixcontrast.pairs": lambda rows: Input(torch.eye(9).bool().expand(rows, 9, 9).clone()),
    "pixpro.queries": _trained(2, 3, 3),
    "pixpro.keys": _constant(2, 3, 3),
    "pixpro.pairs": lambda rows: Input(torch.eye(9).bool().expand(rows, 9, 9).clone()),
    "pot.x": lambda rows: Input(torch.randn(rows, WIDTH), axes=()),
    "pot.views": _graph_views,
    "prompt_consistency.views": lambda rows: Input(
        [torch.randn(rows, CLASSES, WIDTH) for _ in range(2)], trained=True
    ),
    "qcrd.positive_losses": lambda rows: Input(2 * torch.rand(rows, 2), trained=True),
    "qcrd.negative_losses": lambda rows: Input(2 * torch.rand(rows, 3), trained=True),
    "sepclr.labels": _classes(2),
    "supcon.labels": _labels_with_unknown,
    "supremix.targets": lambda rows: Input((torch.arange(rows) % 3).float()),
}
"""What an argument is given, by ``argument`` or, where that differs, ``objective.argument``."""

ALWAYS: dict[str, dict[str, Any]] = {
    "cosmo": {"different": "rows"},
    "groco": {"hardest": 2},
    "mochi": {"hardest": 6, "pairs": 4, "with_query": 2},
}
"""Settings without which an objective cannot be tried on few rows."""

WITH: dict[str, list[str]] = {
    "captioning": ["head"],
    "cl2l": ["image_views text_views"],
    "coca": ["head"],
    "cosmo": ["head", "image_head text_head"],
    "conr": ["weights"],
    "count_to_ten": ["weights"],
    "debcse": ["negatives weights"],
    "distant_peer": ["base credibility"],
    "esimcse": ["queue"],
    "look": ["bank bank_labels"],
    "mlcd": ["classes"],
    "p2c": ["votes1 votes2"],
}
"""Optional inputs of which each objective is tried with these too, several at once."""

OPTIONS: dict[str, list[Any]] = {
    "symmetric": [False],
    "detach_weight": [False],
    "in_batch": [False],
    "aggregate": ["log_sum"],
    "decoupled": [True],
    "alpha": [0.3],
    "stop_gradient": [False],
    "reduction": ["sum"],
}
"""Settings of which each objective that has them is tried with these too."""


def examples(objective: Objective, rows: int, dtype: torch.dtype = torch.float64) -> list[Example]:
    """Calls of an objective with ``rows`` samples: plain, and with each of its options."""
    return [one.to(dtype) for one in _examples(objective, rows)]


def _examples(objective: Objective, rows: int) -> Iterator[Example]:
    torch.manual_seed(rows)
    parameters = inspect.signature(objective.function).parameters
    needed = [name for name, one in parameters.items() if one.default is one.empty]
    if objective.inputs == "description":
        needed += ["positive", "valid", "weight"]

    def example(variant: str, *more: str, **options: Any) -> Example:
        inputs = {name: _made(objective, name, rows) for name in (*needed, *more)}
        return Example(objective, variant, inputs, {**ALWAYS.get(objective.name, {}), **options})

    yield example("plain")
    for names in WITH.get(objective.name, []):
        yield example(names.replace(" ", "+"), *names.split())
    for name, values in OPTIONS.items():
        for value in values if accepts(objective, name) else []:
            more = ["negatives"] if name == "in_batch" and accepts(objective, "negatives") else []
            yield example(f"{name}={value}", *more, **{name: value})
    if accepts(objective, "ids"):
        one = example("ids")
        one.inputs["ids"] = Input(torch.arange(rows) // 2)
        yield one
    if accepts(objective, "negatives") and accepts(objective, "negative_ids"):
        one = example("negatives", "negatives")
        one.inputs["ids"] = Input(torch.arange(rows))
        one.inputs["negative_ids"] = Input(torch.arange(rows).flip(0))
        yield one


def _made(objective: Objective, name: str, rows: int) -> Input:
    for key in (f"{objective.name}.{name}", name):
        if key in INPUTS:
            one = INPUTS[key](rows)
            if one.trained:
                for tensor in one.tensors():
                    tensor.requires_grad_()
            return one
    raise LookupError(f"tests/objectives/examples.py: INPUTS has nothing for {key!r}.")


def share_of_ranks(
    objective: Objective, rank: int, shares: list[int]
) -> Iterator[tuple[Example, Example]]:
    """Calls with the rows of all ranks, and those with the share of one.

    Objectives that see rows of other ranks are tried with shares of different sizes, in all their
    variants by two ranks and plain by more; where ranks average, shares must be equal.
    """
    if objective.ranks != "global" and len(shares) > 2:
        return
    if objective.ranks == "batch":
        yield from ((one, one) for one in examples(objective, 8)[:1])
        return
    if objective.ranks == "rows":
        shares = [4] * len(shares)
    start = sum(shares[:rank])
    found = examples(objective, sum(shares))
    every_variant = objective.ranks == "global" and len(shares) == 2
    for whole in found if every_variant else found[:1]:
        yield whole, whole.rows(slice(start, start + shares[rank]))
