"""A diffusion pipeline on disk: what may be opened, and what its images depend on."""

import json

import pytest
import torch

from counterpoint.encoders.denoiser import denoiser, denoiser_tokens
from counterpoint.encoders.generator import Generator
from counterpoint.errors import DataError, SettingError

diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pipeline that was not trained."""
    torch.manual_seed(0)
    where = tmp_path_factory.mktemp("pipeline")
    scheduler = diffusers.DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")
    diffusers.DDPMPipeline(denoiser(1, 8, 8), scheduler).save_pretrained(where)
    return where


@pytest.fixture(scope="module")
def generator(folder):
    return Generator.open(folder)


IMAGES = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
SEEDS = torch.arange(6)


def test_new_images_depend_on_their_seeds_alone(generator):
    drawn = generator.draw(SEEDS, 3)
    assert (drawn.dtype, drawn.shape) == (torch.uint8, (6, 1, 8, 8))
    assert len(drawn.flatten(1).unique(dim=0)) == 6
    alone = generator.draw(SEEDS[4:], 3)
    assert (alone.int() - drawn[4:].int()).abs().max() <= 1


def test_level_zero_gives_the_image_back_and_higher_levels_leave_it(generator):
    levels = torch.tensor([0, 0, 100, 200, 300, 400])
    made = generator.vary(IMAGES, levels, SEEDS)
    assert torch.equal(made[:2], IMAGES[:2])
    assert (made[2:] != IMAGES[2:]).flatten(1).any(1).all()
    alone = generator.vary(IMAGES[3:], levels[3:], SEEDS[3:])
    assert (alone.int() - made[3:].int()).abs().max() <= 1


def test_a_level_is_the_noise_of_the_schedule(generator, monkeypatch):
    monkeypatch.setattr(generator, "_denoised", lambda x, times: x)
    image = IMAGES[:1].float() / 127.5 - 1
    kept = generator.scheduler.alphas_cumprod[200]
    noise = generator._noise(SEEDS[:1])
    expected = (kept.sqrt() * image + (1 - kept).sqrt() * noise).clamp(-1, 1)
    made = generator.vary(IMAGES[:1], torch.tensor([200]), SEEDS[:1]).float() / 127.5 - 1
    torch.testing.assert_close(made, expected, atol=0.005, rtol=0)


def test_sampling_equals_the_pipeline_of_diffusers(folder, generator):
    """The same steps by diffusers' own loop from the same noise."""
    noise = generator._noise(SEEDS)
    scheduler = diffusers.DDIMScheduler.from_pretrained(folder / "scheduler")
    pipeline = diffusers.DDIMPipeline(generator.unet, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    with pytest.MonkeyPatch.context() as patch:
        module = "diffusers.pipelines.ddim.pipeline_ddim.randn_tensor"
        patch.setattr(module, lambda *args, **kwargs: noise)
        images = pipeline(len(SEEDS), num_inference_steps=4, output_type="np").images
    expected = torch.from_numpy(images).permute(0, 3, 1, 2)
    drawn = generator.draw(SEEDS, 4).float() / 255
    torch.testing.assert_close(drawn, expected, atol=1 / 255, rtol=0)


def test_tokens_are_the_cells_of_the_narrowest_block(generator):
    tokens = generator.tokens(IMAGES.float() / 255)
    assert tokens.shape == (6, 16, 16)
    assert not tokens.requires_grad
    assert torch.equal(tokens, denoiser_tokens(generator.unet, IMAGES.float() / 255))


@pytest.mark.parametrize(("size", "cells"), [(8, 16), (9, 81), (12, 9), (32, 16)])
def test_any_size_has_a_denoiser(size, cells):
    unet = denoiser(3, size, 8)
    assert denoiser_tokens(unet, torch.rand(2, 3, size, size)).shape[:2] == (2, cells)
    noise = unet(torch.rand(2, 3, size, size), torch.tensor([0, 999])).sample
    assert noise.shape == (2, 3, size, size)


def test_fingerprint_changes_with_the_weights(folder, generator, tmp_path):
    assert Generator.open(folder).fingerprint == generator.fingerprint
    torch.manual_seed(1)
    other = diffusers.DDPMPipeline(denoiser(1, 8, 8), generator.scheduler)
    other.save_pretrained(tmp_path)
    assert Generator.open(tmp_path).fingerprint != generator.fingerprint


def test_what_is_no_unconditional_pipeline_is_refused(folder, tmp_path):
    with pytest.raises(SettingError, match="counterpoint fit diffusion"):
        Generator.open(tmp_path)
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(SettingError, match="StableDiffusionPipeline; an unconditional"):
        Generator.open(tmp_path)


def test_code_and_pickled_weights_are_never_opened(folder, tmp_path):
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["my_module", "UNet2DModel"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(SettingError, match="unconditional"):
        Generator.open(tmp_path)
    index["unet"] = ["diffusers", "UNet2DModel"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_bytes((folder / "unet" / "config.json").read_bytes())
    unet = denoiser(1, 8, 8)
    torch.save(unet.state_dict(), tmp_path / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(DataError, match="cannot be read"):
        Generator.open(tmp_path)


def test_images_of_another_shape_are_refused(generator):
    generator.check_fits(1, 8)
    with pytest.raises(SettingError, match=r"makes images \(1, 8, 8\), the data are \(3, 32, 32\)"):
        generator.check_fits(3, 32)
