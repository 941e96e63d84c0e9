from dataclasses import replace

import pytest
import torch

from counterpoint import encoders
from counterpoint.apps.model import Model
from counterpoint.apps.other_probes import dense, few_shot
from counterpoint.data import load
from counterpoint.errors import DataError, SettingError


@pytest.fixture(scope="module")
def data():
    return load("digits", limit=300)


@pytest.fixture(scope="module")
def model(data):
    torch.manual_seed(0)
    return Model(encoders.build("conv-dense", modality="images", channels=1, size=data.size))


def test_few_shot_is_of_the_held_out_samples_with_labels(model, data):
    settings = {"ways": 2, "shots": 1, "queries": 3, "episodes": 5}
    found = few_shot(model, data, settings)
    assert found["classes"] == 10
    assert found["settings"]["queries"] == 3
    labels = data.test.labels.clone()
    labels[labels > 3] = -1
    part = replace(data, test=replace(data.test, labels=labels))
    assert few_shot(model, part, settings)["classes"] == 4


def test_dense_asks_every_cell(model, data):
    found = dense(model, data, {"classifier": "knn"})
    assert found["cells"] == [2, 2]
    assert 0.2 < found["accuracy"] < 1


def test_what_is_wrong_is_named(model, data):
    with pytest.raises(SettingError, match="Did you mean shots"):
        few_shot(model, data, {"shot": 1})
    with pytest.raises(SettingError, match="ways of the few_shot probe must be int"):
        few_shot(model, data, {"ways": 2.5})
    bare = replace(data, test=replace(data.test, labels=None))
    with pytest.raises(DataError, match="needs labels"):
        few_shot(model, bare, {})
