import json
import math
from pathlib import Path

import pytest
import torch
from torch.autograd import gradcheck

from counterpoint.errors import DataError, SettingError
from counterpoint.geometry import uniformity


def by_loops(x: torch.Tensor, t: float) -> float:
    terms = [
        math.exp(-t * float((x[i] - x[j]).square().sum()))
        for i in range(len(x))
        for j in range(i + 1, len(x))
    ]
    return math.log(sum(terms) / len(terms))


@pytest.mark.parametrize("t", [0.5, 2.0, 10.0])
def test_equals_the_plain_loop(t: float) -> None:
    x = torch.randn(23, 5, dtype=torch.float64)
    unit = torch.nn.functional.normalize(x, dim=1)
    assert float(uniformity(x, t)) == pytest.approx(by_loops(unit, t), abs=1e-12)
    assert float(uniformity(x, t, normalize=False)) == pytest.approx(by_loops(x, t), abs=1e-12)


@pytest.mark.parametrize("count", [512, 513, 1100])
def test_blocks_do_not_change_value_or_gradient(count: int) -> None:
    x = torch.randn(count, 7, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(uniformity(x), x)
    unit = torch.nn.functional.normalize(x, dim=1)
    dense = torch.pdist(unit).square().mul(-2).exp().mean().log()
    (expected,) = torch.autograd.grad(dense, x)
    torch.testing.assert_close(uniformity(x), dense, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grad, expected, rtol=1e-10, atol=1e-14)


def test_gradient_by_finite_differences() -> None:
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(uniformity, (x,))


def test_keeps_no_square_matrix_for_backward() -> None:
    saved = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        saved += tensor.numel()
        return tensor

    x = torch.randn(2048, 8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        uniformity(x)
    assert saved < 20 * x.numel()


def test_known_values() -> None:
    same = torch.ones(5, 3)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert float(uniformity(same)) == pytest.approx(0)
    assert float(uniformity(opposite)) == pytest.approx(-8)


def test_scale_of_rows_does_not_matter() -> None:
    x = torch.randn(9, 4)
    scale = torch.logspace(-30, 30, 9).unsqueeze(1)
    torch.testing.assert_close(uniformity(x * scale), uniformity(x))


def test_far_from_the_origin_keeps_its_digits() -> None:
    x = torch.randn(40, 3)
    torch.testing.assert_close(
        uniformity(x + 1000, normalize=False), uniformity(x, normalize=False), rtol=1e-3, atol=0
    )


def test_recorded_numbers() -> None:
    case = json.loads(Path(__file__).with_name("recorded.json").read_text())["cases"][0]
    entry = case["inputs"]["x"]
    x = torch.tensor(entry["data"], dtype=torch.float64).reshape(entry["shape"]).requires_grad_()
    value = uniformity(x, case["params"]["t"], normalize=False)
    (grad,) = torch.autograd.grad(value, x)
    expected = torch.tensor(case["outputs"]["grad_x"]["data"], dtype=torch.float64)
    assert value.item() == pytest.approx(case["outputs"]["loss"], abs=1e-10)
    torch.testing.assert_close(grad.flatten(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(1, 3), "at least 2"),
        (torch.tensor([[1.0, 0.0], [0.0, 0.0]]), "zero vectors, the first in row 1"),
        (torch.tensor([[1.0, 0.0], [0.0, math.nan]]), "NaN or infinite"),
        (torch.ones(4), "matrix"),
    ],
)
def test_bad_input_is_named(x: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        uniformity(x)


def test_bad_t_is_named() -> None:
    with pytest.raises(SettingError, match="t must be above 0"):
        uniformity(torch.randn(3, 2), t=0)
