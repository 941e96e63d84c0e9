import numpy as np
import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.probes import Linear, LogisticProbe
from counterpoint.probes.logistic import fit_logistic
from counterpoint.probes.scaling import standard, unit_length


def sample(seed: int, rows: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, classes, rows)
    return generator.normal(size=(rows, 6)) * np.logspace(-2, 2, 6) + 3 * np.eye(6)[y], y


def minimise(x: np.ndarray, y: np.ndarray, C: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The objective of the docstring, by another optimiser."""
    inputs, target = torch.as_tensor(x), torch.as_tensor(y)
    W = torch.zeros(int(y.max()) + 1, x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(len(W), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [W, b], max_iter=2000, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = inputs @ W.T + b
        losses = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
        loss = 0.5 * W.square().sum() + C * losses
        loss.backward()
        return loss

    optimiser.step(closure)
    return W.detach(), b.detach()


def test_minimises_the_stated_objective() -> None:
    x, y = sample(0, 80)
    scaled = standard(x)(x)
    model = fit_logistic(scaled, y, C=0.7, max_iter=1000, tol=1e-9)
    W, b = minimise(scaled, y, C=0.7)
    np.testing.assert_allclose(model.coef_, W.numpy(), atol=1e-4)
    np.testing.assert_allclose(model.intercept_, b.numpy(), atol=1e-4)
    np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-6)


def test_two_classes_are_the_softmax_at_half_the_weight() -> None:
    x, y = sample(1, 60, classes=2)
    scaled = standard(x)(x)
    model = fit_logistic(scaled, y, C=1.0, max_iter=1000, tol=1e-9)
    W, _ = minimise(scaled, y, C=0.5)
    np.testing.assert_allclose(model.coef_[0], (W[1] - W[0]).numpy(), atol=1e-4)


def test_linear_is_logistic_regression_on_unit_standardised_rows() -> None:
    (train, y), (test, truth) = sample(2, 100), sample(3, 50)
    a, b = unit_length(train), unit_length(test)
    mean, std = a.mean(axis=0), a.std(axis=0)
    W, bias = minimise((a - mean) / std, y, C=1.0)
    expected = (((b - mean) / std) @ W.numpy().T + bias.numpy()).argmax(axis=1)
    assert Linear().score(train, y, test, truth) == (expected == truth).mean()


def test_linear_ignores_the_length_of_rows_and_survives_dead_columns() -> None:
    (train, y), (test, truth) = sample(4, 60), sample(5, 30)
    train[:, 2] = test[:, 2] = 0
    length = np.linspace(0.1, 50, 60)[:, None]
    plain = Linear().score(train, y, test, truth)
    assert Linear().score(train * length, y, test * 3, truth) == pytest.approx(plain, abs=0.04)
    assert plain > 0.4


def test_logistic_probe_scales_to_zero_one() -> None:
    (train, y), (test, truth) = sample(6, 100), sample(7, 50)
    low, width = train.min(axis=0), np.ptp(train, axis=0)
    W, bias = minimise((train - low) / width, y, C=1.0)
    expected = (((test - low) / width) @ W.numpy().T + bias.numpy()).argmax(axis=1)
    assert LogisticProbe().score(train, y, test, truth) == (expected == truth).mean()


@pytest.mark.parametrize("probe", [Linear, LogisticProbe])
def test_errors_are_named(probe) -> None:
    with pytest.raises(SettingError, match="C > 0"):
        probe(C=0)
    with pytest.raises(DataError, match="one class only"):
        probe().score(np.eye(2), [1, 1], np.eye(2), [0, 1])
