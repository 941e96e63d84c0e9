"""Every objective declares what it takes and how it behaves across ranks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from typing import Any, ClassVar, Literal, ParamSpec, Self

import torch
from torch import Tensor, nn

from counterpoint.engine.similarity import half_inputs
from counterpoint.errors import SettingError, unknown_name
from counterpoint.objectives.combinations import refuse

Arguments = ParamSpec("Arguments")
Inputs = Literal[
    "two views",
    "pairs",
    "labels",
    "pairs and similarity",
    "description",
    "log-probabilities",
    "scores",
    "logits",
    "features",
    "views",
    "queue",
    "feature maps",
    "prototypes",
    "pairs and gate",
    "mixtures",
    "rehearsal",
    "regions",
    "graph",
]
Ranks = Literal["global", "rows", "batch"]
HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Objective:
    """What is known of an objective besides its formula.

    Attributes:
        name: of the function in `counterpoint.objectives.functional`.
        function: the objective itself.
        inputs: ``"two views"`` (z1, z2), ``"pairs"`` (anchors, candidates), ``"labels"``
            (z, labels), ``"pairs and similarity"`` (x, y, similarity), ``"description"``; or the
            numbers of another model: ``"log-probabilities"`` of sequences, ``"scores"`` of pairs,
            class ``"logits"``, ``"features"`` beside those of a teacher; or ``"views"`` (z1, z2,
            z3 ...), ``"queue"`` (queries, keys, queue), ``"feature maps"``, ``"prototypes"``,
            ``"pairs and gate"`` of their classes, ``"mixtures"`` (mixed, clean, partner, share),
            ``"rehearsal"`` (student, teacher, labels, rehearsal),
            ``"regions"`` of images beside captions,
            nodes of a ``"graph"``.
        across_ranks: which negatives N processes see, and how they equal one.
        ranks: ``"global"``: with ``across_ranks=True`` N processes have the loss and the gradients
            of one that holds all rows; ``"rows"``: no row looks at another, so that the mean over
            ranks of equal batches is that of one process; ``"batch"``: the loss is that of a rank's
            own batch, and N processes are not one.
        source: paper and equation.
        module: the class with the same arguments.
    """

    name: str
    function: Callable[..., Tensor]
    inputs: Inputs
    across_ranks: str
    ranks: Ranks
    source: str
    module: type[nn.Module] | None = None


_OBJECTIVES: dict[str, Objective] = {}


def objective(
    *, inputs: Inputs, across_ranks: str, ranks: Ranks | None = None, source: str
) -> Callable[[Callable[Arguments, Tensor]], Callable[Arguments, Tensor]]:
    """Registers a function as an objective, which is computed in float32 or better.

    Autocast is off inside, and half-precision tensors arrive in float32; where all are bfloat16,
    the engine may take products of that precision (`counterpoint.engine.similarity`). A keyword
    that is not taken is refused: a setting that combines with other objectives with the reason, any
    other with the nearest name.

    Args:
        inputs: see `Objective`, also for the next.
        across_ranks: in words.
        ranks: None for ``"global"`` of a function that takes ``across_ranks``, else ``"batch"``.
        source: paper and equation.
    """

    def register(function: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
        name, taken = function.__name__, signature(function).parameters

        @functools.wraps(function)
        def full_precision(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Tensor:
            refuse(name, kwargs, taken)
            devices = {x.device.type for x in (*args, *kwargs.values()) if isinstance(x, Tensor)}
            with ExitStack() as stack:
                for device in devices:
                    stack.enter_context(torch.autocast(device, enabled=False))
                given = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
                if {x.dtype for x in given if x.is_floating_point()} == {torch.bfloat16}:
                    stack.enter_context(half_inputs())
                args, kwargs = _in_full(args), _in_full(kwargs)
                return function(*args, **kwargs)

        seen = ranks or ("global" if "across_ranks" in taken else "batch")
        _OBJECTIVES[name] = Objective(name, full_precision, inputs, across_ranks, seen, source)
        return full_precision

    return register


def _in_full(given: Any) -> Any:
    """The same with half-precision tensors in float32, also inside lists, tuples and dicts."""
    if isinstance(given, Tensor):
        return given.float() if given.dtype in HALF else given
    if type(given) in (list, tuple):
        return type(given)(_in_full(x) for x in given)
    if type(given) is dict:
        return {name: _in_full(x) for name, x in given.items()}
    return given


def registered() -> Iterator[Objective]:
    """Every objective, in the order of names."""
    for name in sorted(_OBJECTIVES):
        yield _OBJECTIVES[name]


def find(name: str) -> Objective:
    """The objective of that name.

    Raises:
        SettingError: there is none; the message offers the nearest.
    """
    if name not in _OBJECTIVES:
        raise unknown_name("objective", name, _OBJECTIVES)
    return _OBJECTIVES[name]


def _keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    """What can be given to a function or method by name."""
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    taken = signature(function).parameters.values()
    return tuple(x.name for x in taken if x.kind in by_name and x.name != "self")


class Loss(nn.Module):
    """A function of `counterpoint.objectives.functional` with its settings.

    A temperature that is a parameter or a module is registered, hence trained and saved. A keyword
    that is not taken is refused as the function refuses it, and one in the wrong place with the
    right one.
    """

    function: ClassVar[Callable[..., Tensor]]
    keywords: ClassVar[dict[str, tuple[str, ...]]]

    def __init_subclass__(cls, function: Callable[..., Tensor]) -> None:
        cls.function = staticmethod(function)
        cls.keywords = {"made": _keywords(cls.__init__), "called": _keywords(cls.forward)}
        _OBJECTIVES[function.__name__] = replace(_OBJECTIVES[function.__name__], module=cls)

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        cls._check(settings, "made")
        return super().__new__(cls)

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.names = tuple(settings)
        for name, value in settings.items():
            setattr(self, name, value)

    def __call__(self, *inputs: Any, **more: Any) -> Any:
        self._check(more, "called")
        return super().__call__(*inputs, **more)

    @classmethod
    def _check(cls, given: Iterable[str], when: Literal["made", "called"]) -> None:
        name, function = cls.__name__, cls.function.__name__
        for keyword in given:
            if keyword in cls.keywords[when]:
                continue
            for place, taken in cls.keywords.items():
                if keyword in taken:
                    raise SettingError(
                        f"{name} takes {keyword}= when it is {place}, not when it is {when}."
                    )
            if keyword in _keywords(cls.function):
                raise SettingError(f"{name} takes no {keyword}=; the function {function} does.")
            refuse(function, [keyword], [*cls.keywords["made"], *cls.keywords["called"]])

    def call(self, *inputs: Tensor, **more: Any) -> Tensor:
        """The function on these inputs; a setting that is a module is asked for its value."""
        settings = {name: getattr(self, name) for name in self.names}
        for name, value in settings.items():
            if isinstance(value, nn.Module):
                settings[name] = value()
        return self.function(*inputs, **settings, **more)

    def extra_repr(self) -> str:
        shown = (name for name in self.names if not isinstance(getattr(self, name), nn.Module))
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
