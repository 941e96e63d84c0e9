"""What every method of the registry must do, without being told which methods there are."""

import copy
import inspect
import math
import os
import signal
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch

from counterpoint import methods
from counterpoint.apps.fit import fit
from counterpoint.apps.model import Model, load
from counterpoint.errors import SettingError
from counterpoint.training import Interrupted, TrainSettings, train
from counterpoint.training.loader import make_views
from counterpoint.training.module import Loop
from counterpoint.training.order import Order


def hosts(name):
    """Arguments for each system that a method can be put on; none for most."""
    hint = get_type_hints(methods.find(name).__init__).get("host")
    return [{"host": host} for host in get_args(hint)] or [{}]


CASES = [
    pytest.param(name, modality, own, id="-".join([name, modality, *own.values()]))
    for name in methods.names()
    for modality in methods.find(name).modalities
    for own in hosts(name)
]
EVERY = pytest.mark.parametrize(("name", "modality", "own"), CASES)
STEPS = {"images": 40, "text": 16}
SETTINGS = {
    "images": {"batch_size": 32, "lr": 2e-3},
    "text": {"batch_size": 16, "lr": 1e-4},
}


@pytest.fixture
def build(encoder_of, tiny):
    def make(name, modality, **arguments):
        encoder = encoder_of(modality)
        torch.manual_seed(1)
        return methods.build(name, encoder, **{**tiny(name), **arguments})

    return make


def settings(modality, **changes):
    return TrainSettings.of(**{**SETTINGS[modality], "steps": STEPS[modality], **changes})


def loss_of(method, data, rows=32):
    """Loss of one fixed batch; the method is left as it was."""
    method = copy.deepcopy(method).train()
    batch = make_views(data.train, method.views(data), method.encoder, torch.arange(rows))
    torch.manual_seed(0)
    with torch.no_grad():
        return float(method(batch)["loss"])


@EVERY
def test_learns(name, modality, own, build, data_of, tmp_path):
    data, method = data_of(modality), build(name, modality, **own)
    start = {key: value.clone() for key, value in method.named_parameters()}
    history = train(method, data, settings(modality), tmp_path)
    assert len(history.loss) == STEPS[modality]
    assert all(math.isfinite(loss) for loss in history.loss)
    untrained = copy.deepcopy(method)
    with torch.no_grad():
        for key, value in untrained.named_parameters():
            if value.requires_grad:
                value.copy_(start[key])
    assert loss_of(method, data) < loss_of(untrained, data) - 0.1


@EVERY
def test_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    name, modality, own, build, data_of, tmp_path
):
    data = data_of(modality)
    chosen = settings(modality, steps=7, log_every=1, batch_size=32)
    whole = build(name, modality, **own)
    expected = train(whole, data, chosen, tmp_path / "whole")

    def interrupt(event):
        if event.done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="step 4 of 7"):
        train(build(name, modality, **own), data, chosen, tmp_path / "cut", on_progress=interrupt)
    resumed = build(name, modality, **own)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.add_(1)
    history = train(resumed, data, chosen, tmp_path / "cut", resume=True)
    assert history.loss == expected.loss
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


@EVERY
def test_saved_model_gives_equal_embeddings(name, modality, own, build, data_of, tiny, tmp_path):
    data, encoder = data_of(modality), build(name, modality, **own).encoder
    model = fit(name, data, encoder=encoder, out=tmp_path, steps=2, **tiny(name), **own)
    before = model.embed(data.test)
    assert before.shape == (len(data.test), before.shape[1])
    assert before.dtype == np.float32
    opened = load(tmp_path / "model")
    np.testing.assert_array_equal(opened.embed(data.test), before)
    again = Model(opened.encoder, method=opened.method, about=opened.about)
    np.testing.assert_array_equal(load(again.save(tmp_path / "b")).embed(data.test), before)


@EVERY
def test_cached_gradients_equal_plain_ones(name, modality, own, build, data_of):
    data, method = data_of(modality), build(name, modality, **own).eval()
    method.begin_epoch(0, data)
    batch = make_views(data.train, method.views(data), method.encoder, torch.arange(24))
    gradients = []
    for cached in (None, 7):
        loop = Loop(
            method, data, settings(modality, cached=cached), Order(len(data.train), 24, 0), total=9
        )
        method.zero_grad()
        loop.training_step(batch, 0).backward()
        gradients.append(
            {k: p.grad.clone() for k, p in method.named_parameters() if p.requires_grad}
        )
    for key, plain in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], plain, rtol=1e-3, atol=1e-6, msg=key)


def test_no_argument_hides_a_training_setting():
    taken = set(TrainSettings.model_fields) | set(inspect.signature(fit).parameters)
    for name in methods.names():
        assert not taken & {argument.name for argument in methods.arguments(name)}, name


def test_every_argument_is_documented_and_has_a_default():
    for name in methods.names():
        for argument in methods.arguments(name):
            assert argument.doc, f"{name}: {argument.name}"
            assert argument.default is not inspect.Parameter.empty, f"{name}: {argument.name}"


@EVERY
def test_wrong_argument_is_refused(name, modality, own, build):
    with pytest.raises(SettingError, match="no_such_argument"):
        build(name, modality, **own, no_such_argument=1)
