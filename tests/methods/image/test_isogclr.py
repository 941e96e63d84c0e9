"""The state of iSogCLR follows the training set, and a saved one brings its size along."""

import math

import pytest
import torch

from counterpoint import methods
from counterpoint.errors import DataError, SettingError
from counterpoint.training import TrainSettings, train


def build(encoder_of, **arguments):
    return methods.build("isogclr", encoder_of("images"), **arguments)


def contrast(method, z1, z2, data, rows=None):
    """The loss of some rows, the first of the data unless said; returns the state, too."""
    method.views(data)
    index = torch.arange(len(z1)) if rows is None else rows
    batch = type("Batch", (), {"index": index})
    return method.contrast({"z1": z1, "z2": z2}, batch)["loss"], method.global_loss.state


def test_every_training_sample_has_a_state_that_moves_when_it_is_seen(
    encoder_of, data_of, tmp_path
):
    data, method = data_of("images"), build(encoder_of)
    settings = TrainSettings.of(steps=2, batch_size=32)
    train(method, data, settings, tmp_path)
    state = method.global_loss.state
    assert state.samples == len(data.train)
    assert int((state.estimate > 0).sum()) == 64
    assert int((state.temperature != method.temperature).sum()) == 64


def test_a_saved_state_is_loaded_before_the_data_are_known(encoder_of, data_of, tmp_path):
    data, method = data_of("images"), build(encoder_of)
    train(method, data, TrainSettings.of(steps=1, batch_size=32), tmp_path)
    again = build(encoder_of)
    again.load_state_dict(method.state_dict())
    again.views(data)
    assert torch.equal(again.global_loss.state.estimate, method.global_loss.state.estimate)


def test_gamma_weighs_the_new_value(encoder_of, data_of):
    """The reverse of a momentum: at 1 nothing of the first visit is left at the second."""
    torch.manual_seed(0)
    views = [torch.randn(2, 6, 16) for _ in range(2)]
    fresh = build(encoder_of, gamma=1.0, rho=None)
    _, alone = contrast(fresh, *views[1], data_of("images"))
    twice = build(encoder_of, gamma=1.0, rho=None)
    for z1, z2 in views:
        _, state = contrast(twice, z1, z2, data_of("images"))
    torch.testing.assert_close(state.estimate[:6], alone.estimate[:6])


def test_the_first_visit_takes_the_batchs_value_whole(encoder_of, data_of):
    """Otherwise weights would be too large by 1/gamma, for long where a sample is rare."""
    torch.manual_seed(0)
    z1, z2 = torch.randn(2, 6, 16)
    states = [
        contrast(build(encoder_of, gamma=gamma, rho=None), z1, z2, data_of("images"))[1]
        for gamma in (0.1, 1.0)
    ]
    torch.testing.assert_close(states[0].estimate[:6], states[1].estimate[:6])


def test_temperatures_are_no_parameters_and_stay_within_bounds(encoder_of, data_of):
    torch.manual_seed(0)
    z = torch.randn(2, 6, 16)
    for rho, bound in ((math.log(10) * 3, 0.05), (1e-6, 0.7)):
        method = build(encoder_of, rho=rho, eta=1.0)
        for _ in range(40):
            _, state = contrast(method, *z, data_of("images"))
        torch.testing.assert_close(state.temperature[:6], torch.full((6,), bound))
        assert not any("temperature" in name for name, _ in method.named_parameters())


def test_the_least_temperatures_do_not_overflow(encoder_of, data_of):
    method = build(encoder_of, temperature=0.012, lowest=0.012)
    z1 = torch.eye(6, 16, requires_grad=True)
    for z2 in (z1.detach(), -z1.detach(), torch.ones(6, 16)):
        loss, state = contrast(method, z1, z2, data_of("images"))
        (grad,) = torch.autograd.grad(loss, z1)
        assert loss.isfinite()
        assert grad.isfinite().all()
        assert state.estimate.isfinite().all()
    ones = torch.ones(6, 16)
    assert contrast(method, ones, ones, data_of("images"))[1].estimate.isfinite().all()


@pytest.mark.parametrize("argument", ["temperature", "lowest"])
def test_temperatures_whose_estimate_would_overflow_are_refused(encoder_of, argument):
    with pytest.raises(SettingError, match=f"{argument} must be at least 0.012"):
        build(encoder_of, **{argument: 0.01})


def test_what_cannot_be_is_refused(encoder_of, data_of):
    for wrong in ({"rho": 0.0}, {"eta": -1.0}, {"gamma": 0.0}, {"lowest": 0.8}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            build(encoder_of, **wrong)
    with pytest.raises(DataError, match="at least 2"):
        contrast(build(encoder_of), torch.randn(1, 16), torch.randn(1, 16), data_of("images"))
