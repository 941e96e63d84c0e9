"""Both pretext tasks, their schedule, and the scattering encoder in a whole run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint import data as sources
from counterpoint import encoders, methods
from counterpoint.apps.fit import fit
from counterpoint.apps.model import load
from counterpoint.errors import SettingError
from counterpoint.objectives import functional as F
from counterpoint.training import TrainSettings, train
from counterpoint.training.loader import make_views
from counterpoint.views.jigsaw import jigsaw


@pytest.fixture
def build(encoder_of):
    def make(**arguments):
        return methods.build("scatsimclr", encoder_of("images"), **arguments)

    return make


@pytest.fixture
def data(data_of):
    return data_of("images")


def batch_of(method, data, rows=12):
    return make_views(data.train, method.views(data), method.encoder, torch.arange(rows))


def test_total_is_the_contrast_and_the_weighted_task(build, data):
    method = build(weight=0.7).eval()
    batch = batch_of(method, data)
    method.before_step(1.0)
    parts = method(batch)
    z1, z2 = (method.head(method.embed(view)) for view in batch.views[:2])
    turns = torch.cat([method.classifier(method.embed(view)) for view in batch.views[2:]])
    pretext = torch.nn.functional.cross_entropy(turns, torch.arange(4).repeat_interleave(12))
    torch.testing.assert_close(parts["contrast"], F.nt_xent(z1, z2, temperature=0.5))
    torch.testing.assert_close(parts["pretext"], pretext)
    torch.testing.assert_close(parts["loss"], parts["contrast"] + 0.7 * pretext)


def test_the_task_counts_after_the_warm_up_only(build, data):
    method = build(pretext_from=0.04).eval()
    batch = batch_of(method, data)
    counted = []
    for progress in (0.0, 0.039, 0.04, 1.0):
        method.before_step(progress)
        parts = method(batch)
        counted.append(bool(parts["loss"] > parts["contrast"]))
    assert counted == [False, False, True, True]
    always = build(pretext_from=0.0).eval()
    assert always(batch)["loss"] > always(batch)["contrast"]


def test_without_a_task_it_is_simclr(build, encoder_of, data):
    mine = build(pretext="none").eval()
    other = methods.build("simclr", encoder_of("images"), batch_norm=False, temperature=0.5).eval()
    other.load_state_dict(mine.state_dict())
    batch = batch_of(mine, data)
    assert set(mine(batch)) == {"loss"}
    assert torch.equal(mine(batch)["loss"], other(batch)["loss"])


def test_tiles_reach_the_encoder_in_the_drawn_order(build, data):
    method = build(pretext="jigsaw", pretext_hidden=16).eval()
    batch = batch_of(method, data, 3)
    drawn = batch.meta[2]["permutation"]
    tiles = jigsaw(batch.views[2], method.permutations[drawn])
    one_by_one = torch.stack([method.embed(image) for image in tiles])
    torch.testing.assert_close(method.encode(batch)["pretext"], method.classifier(one_by_one))
    assert drawn.max() < len(method.permutations) == 35


@pytest.mark.parametrize("pretext", ["rotation", "jigsaw"])
def test_the_task_is_learnt(build, data, tmp_path, pretext):
    method = build(pretext=pretext, permutations=4, pretext_hidden=32, weight=1.0, dropout=0.0)
    settings = TrainSettings.of(steps=60, batch_size=32, lr=3e-3)
    seen = train(method, data, settings, tmp_path).parts["pretext_accuracy"]
    assert np.mean(seen[-5:]) > 0.4 > np.mean(seen[:5])


def test_scattering_trains_from_a_single_small_image_to_a_saved_model(data, tmp_path):
    model = fit(
        "scatsimclr",
        data,
        encoder={"name": "scatsimclr8", "width": 16, "angles": 4},
        out=tmp_path,
        steps=2,
        batch_size=8,
    )
    embedded = model.embed(data.test)
    assert embedded.shape == (len(data.test), 256)
    np.testing.assert_array_equal(load(tmp_path / "model").embed(data.test), embedded)


def test_a_last_batch_of_one_is_seen_when_asked_for(build, data, tmp_path):
    some = replace(data, train=data.train.take(range(9)))
    settings = TrainSettings.of(steps=3, batch_size=4, drop_last=False)
    assert train(build(), some, settings, tmp_path).steps == 3


def test_wrong_settings_are_refused(build):
    for wrong in ({"pretext": "colour"}, {"weight": -1.0}, {"dropout": 1.5}, {"permutations": 0}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            build(**wrong)


def test_an_image_without_nine_tiles_is_refused(tmp_path):
    tiny = sources.load("digits", limit=20, size=2)
    encoder = encoders.build("mlp", modality="images", channels=1, size=2)
    method = methods.build("scatsimclr", encoder, pretext="jigsaw", pretext_hidden=8)
    with pytest.raises(SettingError, match="tiles"):
        train(method, tiny, TrainSettings.of(steps=1, batch_size=4), tmp_path)
