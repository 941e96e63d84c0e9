"""The door: what cannot be computed is refused here, in words, before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, get_args

import torch
from torch import Tensor

from counterpoint.engine.similarity import unit_rows
from counterpoint.engine.terms import Reduction
from counterpoint.errors import DataError, SettingError

Temperature = float | Tensor
ONE_TEMPERATURE = "one value, as rows share terms that cannot be divided by one each"


def prepare(normalize: bool, **embeddings: Tensor) -> list[Tensor]:
    """Checked embeddings in one dtype of at least float32, on the unit sphere if wanted.

    Args:
        normalize: divide every row by its length.
        embeddings: by the name the caller knows them, each float ``(N, D)``.

    Raises:
        DataError: not a float matrix, no rows, no columns, widths or devices that differ, NaN or
            infinity.
    """
    dtype = torch.float32
    for name, x in embeddings.items():
        _check_matrix(name, x)
        dtype = torch.promote_types(dtype, x.dtype)
    _check_agreement(embeddings)
    ready = []
    for name, x in embeddings.items():
        x = x.to(dtype)
        check_finite(**{name: x})
        ready.append(unit_rows(x) if normalize else x)
    return ready


def _check_matrix(name: str, x: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise DataError(f"{name} must be a tensor of floats of shape (N, D), not {kind}.")
    if x.dim() != 2 or x.numel() == 0:
        raise DataError(
            f"{name} must have shape (N, D) with at least one row and one column, "
            f"not {tuple(x.shape)}. Flatten or pool each sample to one vector first."
        )


def _check_agreement(embeddings: dict[str, Tensor]) -> None:
    (first, x), *rest = embeddings.items()
    for name, y in rest:
        if y.shape[1] != x.shape[1]:
            raise DataError(
                f"{first} has width {x.shape[1]} and {name} has width {y.shape[1]}; both must lie "
                "in one space. Project them to one width first."
            )
        if y.device != x.device:
            raise DataError(f"{first} is on {x.device} and {name} on {y.device}; move one of them.")


def check_finite(**numbers: Tensor) -> None:
    """Refuses NaN and infinity.

    Args:
        numbers: by the name the caller knows them, float ``(N, ...)``.

    Raises:
        DataError: there is one; the message names the first row. Or they are no floats.
    """
    for name, x in numbers.items():
        if not x.is_floating_point():
            raise DataError(f"{name} must hold floats, not {x.dtype}.")
        if x.numel():
            smallest, largest = torch.aminmax(x.detach())
            if not bool(torch.isfinite(smallest + largest)):
                _refuse_rows(name, x.detach())


def _refuse_rows(name: str, x: Tensor) -> None:
    rows = x.reshape(len(x) if x.dim() else 1, -1)
    bad = (~torch.isfinite(rows)).any(1).nonzero().flatten().tolist()
    raise DataError(
        f"{name} holds NaN or infinity in {len(bad)} of {len(rows)} rows (first: row {bad[0]}). "
        "Check the inputs, the learning rate and the loss scaling of mixed precision."
        if bad
        else f"{name} holds values too large to be summed."
    )


def same_rows(**tensors: Tensor) -> int:
    """The common number of rows.

    Raises:
        DataError: they differ.
    """
    (first, x), *rest = tensors.items()
    for name, y in rest:
        if len(y) != len(x):
            raise DataError(
                f"{first} has {len(x)} rows and {name} has {len(y)}; row i of one belongs to row i "
                "of the other, so both need the same number."
            )
    return len(x)


def check_integers(
    name: str, values: Tensor, rows: int, *, classes: int | None = None, unknown: bool = False
) -> Tensor:
    """Labels or ids as int64 ``(rows,)``.

    Args:
        name: the caller knows them by.
        values: integers ``(rows,)``.
        rows: how many there must be.
        classes: they must be in 0..classes-1; None for any integers.
        unknown: -1 is allowed beside the classes.

    Raises:
        DataError: another shape, not integers, or outside the classes; the message names the row.
    """
    if not isinstance(values, Tensor) or values.shape != (rows,):
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise DataError(f"{name} must be a tensor of shape ({rows},), one a row, not {shape}.")
    if values.is_floating_point() or values.is_complex():
        raise DataError(f"{name} must be integers, not {values.dtype}.")
    values = values.long()
    if classes is not None:
        outside = (values < -int(unknown)) | (values >= classes)
        if bool(outside.any()):
            row = int(outside.nonzero()[0])
            allowed = f"0..{classes - 1}{', or -1 for unknown' if unknown else ''}"
            raise DataError(f"{name} must be in {allowed}; row {row} has {int(values[row])}.")
    return values


def check_temperature(**temperatures: Temperature) -> None:
    """Refuses what cannot divide similarities.

    Args:
        temperatures: by the name the caller knows them, one number or several.

    Raises:
        SettingError: one is not positive, or not finite.
    """
    for name, value in temperatures.items():
        each = torch.as_tensor(value).detach()
        if not bool((torch.isfinite(each) & (each > 0)).all()):
            raise SettingError(f"{name} must be positive and finite, not {value}.")


def inverse_temperature(temperature: Temperature, rows: int, like: Tensor) -> Tensor:
    """``1 / temperature``, ``()`` or ``(rows,)``, with the gradient of a learnable one.

    Raises:
        SettingError: not positive, not finite, or neither one value nor one a row.
    """
    if not isinstance(temperature, Tensor):
        check_temperature(temperature=temperature)
        return like.new_tensor(1.0 / temperature)
    if temperature.numel() not in (1, rows):
        wanted = f"one value or one a row ({rows})" if rows > 1 else ONE_TEMPERATURE
        raise SettingError(
            f"temperature must hold {wanted}; it has shape {tuple(temperature.shape)}."
        )
    values = temperature.to(like)
    if not bool((torch.isfinite(values) & (values > 0)).all()):
        raise SettingError("temperature must be positive and finite in every row.")
    flat = values.reshape(()) if temperature.numel() == 1 else values.reshape(-1)
    return flat.reciprocal()


def check_reduction(reduction: Reduction) -> None:
    """Refuses an unknown reduction.

    Raises:
        SettingError: it is not one of mean, sum, none.
    """
    check_choice(Reduction, reduction=reduction)


def check_choice(choices: Any, **settings: str) -> None:
    """Refuses a word that is none of those to choose from.

    Args:
        choices: a ``Literal`` of them.
        settings: by the name the caller knows them.

    Raises:
        SettingError: another word; the message lists the right ones.
    """
    for name, value in settings.items():
        if value not in get_args(choices):
            known = ", ".join(get_args(choices))
            raise SettingError(f"{name} must be one of {known}, not {value!r}.")


def check_positive(**settings: float) -> None:
    """Refuses a number that is not above 0, or not finite.

    Raises:
        SettingError: there is one.
    """
    _check_numbers("above 0 and finite", lambda value: 0 < value < math.inf, settings)


def check_not_negative(**settings: float) -> None:
    """Refuses a number below 0, or not finite.

    Raises:
        SettingError: there is one.
    """
    _check_numbers("at least 0 and finite", lambda value: 0 <= value < math.inf, settings)


def check_share(**settings: float) -> None:
    """Refuses a number outside [0, 1].

    Raises:
        SettingError: there is one.
    """
    _check_numbers("in [0, 1]", lambda value: 0 <= value <= 1, settings)


def _check_numbers(
    where: str, inside: Callable[[float], bool], settings: Mapping[str, float]
) -> None:
    for name, value in settings.items():
        if not inside(value):
            raise SettingError(f"{name} must be {where}, not {value}.")
