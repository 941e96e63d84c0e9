"""The diffusion method: loss, schedule, and the pipeline that a saved model holds."""

import pytest
import torch

from counterpoint import methods
from counterpoint.apps.model import load
from counterpoint.encoders.generator import Generator
from counterpoint.errors import SettingError
from counterpoint.training.loader import make_views


@pytest.fixture
def method(encoder_of):
    return methods.build("diffusion", encoder_of("images"), width=8)


def test_loss_is_the_mean_squared_error_of_the_noise(method, data_of):
    data = data_of("images")
    batch = make_views(data.train, method.views(data), method.encoder, torch.arange(12))
    (meta,) = batch.meta
    kept = method.schedule.kept[meta["level"]].float().view(-1, 1, 1, 1)
    noisy = kept.sqrt() * (batch.views[0] * 2 - 1) + (1 - kept).sqrt() * meta["noise"]
    with torch.no_grad():
        expected = (method.unet(noisy, meta["level"]).sample - meta["noise"]).square().mean()
        torch.testing.assert_close(method(batch)["loss"], expected)


def test_schedule_is_that_of_the_saved_pipeline(method, generator):
    saved = Generator.open(generator).scheduler.alphas_cumprod
    torch.testing.assert_close(method.schedule.kept.float(), saved, atol=1e-6, rtol=1e-4)


def test_saved_model_holds_the_trained_network_and_a_picture(generator, data_of):
    pipeline = Generator.open(generator)
    opened = load(f"{generator}/model")
    for mine, theirs in zip(
        pipeline.unet.parameters(), opened.method.unet.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)
    from PIL import Image

    assert Image.open(f"{generator}/model/samples.png").size == (8 * 9 + 1, 8 * 9 + 1)


def test_the_encoder_is_left_alone(method):
    assert not any(p.requires_grad for p in method.encoder.parameters())


def test_width_must_fit(encoder_of):
    with pytest.raises(SettingError, match="multiple of 8"):
        methods.build("diffusion", encoder_of("images"), width=12)
