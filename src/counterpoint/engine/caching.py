"""Gradient caching: the encoder sees the batch in chunks, the loss sees it whole.

The first pass encodes every chunk without keeping activations. Once the loss has given the
gradients of all codes, each chunk is encoded again, with the random state it had, and
back-propagated. Parameter gradients arrive in one sum, so that ``DistributedDataParallel`` reduces
them once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from counterpoint.engine.similarity import refuse_double_backward
from counterpoint.errors import SettingError

Part = TypeVar("Part", bound="Chunked")


class Chunked(Protocol):
    """A batch that can be cut into parts."""

    def chunks(self: Part, size: int) -> Iterator[Part]:
        """Consecutive parts of at most ``size`` samples."""
        ...


Codes = Mapping[str, Tensor]


def cached_encode(
    encode: Callable[[Part], Codes], module: nn.Module, batch: Part, chunk: int
) -> dict[str, Tensor]:
    """``encode(batch)``, with the activations of one chunk in memory at a time.

    Values and gradients are those of encoding the chunks one after another, random layers
    included. Buffers of the module (statistics of batch normalisation) are updated once, by the
    first pass. Batch normalisation sees chunks, as it would on several devices.

    Args:
        encode: maps a part of the batch to named tensors whose first dimension runs over samples.
        module: holds every parameter that ``encode`` uses.
        batch: what is encoded.
        chunk: samples a part.

    Returns:
        The codes of the whole batch. Those that carry gradient in ``encode`` carry it here.

    Raises:
        SettingError: chunk below 1.
    """
    replay = _Replay(encode, module, batch, chunk)
    codes = replay.first_pass()
    if not (torch.is_grad_enabled() and replay.differentiable):
        return codes
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    plain = [codes[name] for name in replay.differentiable]
    tracked = _Cached.apply(replay, len(plain), *plain, *parameters)
    return {**codes, **dict(zip(replay.differentiable, tracked, strict=True))}


def _sum(total: Tensor | None, grad: Tensor | None) -> Tensor | None:
    if total is None or grad is None:
        return grad if total is None else total
    return total.add_(grad)


class _Replay:
    """The chunks of a batch, and what is needed to encode each once more."""

    def __init__(
        self, encode: Callable[[Any], Codes], module: nn.Module, batch: Any, chunk: int
    ) -> None:
        if chunk < 1:
            raise SettingError(f"chunk is a number of samples, at least 1, not {chunk}.")
        self.encode, self.module = encode, module
        self.parts = list(batch.chunks(chunk))
        self.device = next((p.device for p in module.parameters()), torch.device("cpu"))
        self.autocast = _autocast_state(self.device.type)
        self.states: list[list[Tensor]] = []
        self.differentiable: list[str] = []

    def first_pass(self) -> dict[str, Tensor]:
        """Codes of the whole batch; of the chunks only the random states are kept."""
        found: list[dict[str, Tensor]] = []
        for part in self.parts:
            self.states.append(self._random_state())
            codes = self.encode(part)
            self.differentiable = [name for name, code in codes.items() if code.requires_grad]
            found.append({name: code.detach() for name, code in codes.items()})
        return {name: torch.cat([codes[name] for codes in found]) for name in found[0]}

    def gradients(
        self, upstream: Sequence[Tensor], parameters: list[Tensor]
    ) -> list[Tensor | None]:
        """Gradient of every parameter, given those of the differentiable codes."""
        totals: list[Tensor | None] = [None] * len(parameters)
        buffers = [buffer.clone() for buffer in self.module.buffers()]
        start = 0
        for part, state in zip(self.parts, self.states, strict=True):
            codes = self._encode_again(part, state)
            rows = slice(start, start + len(codes[0]))
            start = rows.stop
            grads = torch.autograd.grad(
                codes, parameters, [grad[rows] for grad in upstream], allow_unused=True
            )
            for place, grad in enumerate(grads):
                totals[place] = _sum(totals[place], grad)
        with torch.no_grad():
            for buffer, before in zip(self.module.buffers(), buffers, strict=True):
                buffer.copy_(before)
        return totals

    def _encode_again(self, part: Any, state: list[Tensor]) -> list[Tensor]:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.enable_grad(), torch.autocast(**self.autocast):
            torch.set_rng_state(state[0])
            if devices:
                torch.cuda.set_rng_state(state[1], self.device)
            codes = self.encode(part)
            return [codes[name] for name in self.differentiable]

    def _random_state(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.device))
        return states


def _autocast_state(device_type: str) -> dict[str, Any]:
    return {
        "device_type": device_type,
        "dtype": torch.get_autocast_dtype(device_type),
        "enabled": torch.is_autocast_enabled(device_type),
        "cache_enabled": torch.is_autocast_cache_enabled(),
    }


class _Cached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, replay: _Replay, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.replay, ctx.count = replay, count
        ctx.save_for_backward(*tensors[count:])
        return tuple(code.view_as(code) for code in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        refuse_double_backward()
        totals = ctx.replay.gradients(grads, list(ctx.saved_tensors))
        return (None, None, *[None] * ctx.count, *totals)
