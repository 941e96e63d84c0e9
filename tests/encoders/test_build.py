import pytest
import torch

from counterpoint import encoders
from counterpoint.errors import DataError, SettingError


def images(n: int = 4, channels: int = 1, size: int = 8) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [
        (None, 1, 8),
        (None, 3, 32),
        ("conv-small", 3, 20),
        ("mlp", 3, 8),
        ("resnet18", 1, 32),
        ("vit_tiny_patch16_224", 3, 32),
    ],
)
def test_image_encoder_gives_width_and_config_rebuilds_it(name, channels, size):
    encoder = encoders.build(name, modality="images", channels=channels, size=size).eval()
    inputs = encoder.prepare(list(images(2, channels, size)))
    h = encoder(inputs)
    assert h.shape == (2, encoder.width)
    again = encoders.build(**encoder.config).eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(inputs), h)


def test_defaults_follow_the_size():
    assert encoders.default("images", 8) == "conv-tiny"
    assert encoders.default("images", 32) == "conv-small"
    assert encoders.default("images", 224) == "resnet18"
    assert encoders.default("text") == "minilm"


def test_unknown_name_offers_the_nearest():
    with pytest.raises(SettingError, match="conv-small"):
        encoders.build("conv-smal", modality="images", channels=3, size=32)
    with pytest.raises(SettingError, match="width"):
        encoders.build("conv-small", modality="images", channels=3, size=32, widht=64)
    with pytest.raises(SettingError, match="multiple of 8"):
        encoders.build("conv-small", modality="images", channels=3, size=32, width=20)
    with pytest.raises(SettingError, match="channels"):
        encoders.build("conv-small", modality="images")


def test_wrong_items_are_refused():
    encoder = encoders.build("conv-tiny", modality="images", channels=1, size=8)
    with pytest.raises(DataError, match="divide by 255"):
        encoder.prepare([torch.zeros(1, 8, 8, dtype=torch.uint8)])
    with pytest.raises(DataError, match=r"\(1, H, W\)"):
        encoder.prepare([torch.zeros(3, 8, 8)])


def test_pixels_are_standardised_inside():
    encoder = encoders.build("mlp", modality="images", channels=1, size=8)
    seen = []
    encoder.net.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoder(torch.full((1, 1, 8, 8), 0.75))
    assert torch.allclose(seen[0], torch.ones(1, 1, 8, 8))


def test_small_resnet_keeps_resolution():
    small = encoders.build("resnet18", modality="images", channels=3, size=32)
    large = encoders.build("resnet18", modality="images", channels=3, size=32, small_stem=False)
    assert small.net.conv1.kernel_size == (3, 3)
    assert large.net.conv1.kernel_size == (7, 7)


def test_local_weights_without_their_classifier(tmp_path):
    import timm

    donor = timm.create_model("resnet18", num_classes=7)
    path = tmp_path / "weights.pth"
    torch.save(donor.state_dict(), path)
    encoder = encoders.build(
        "resnet18", modality="images", channels=3, size=64, pretrained=str(path)
    )
    assert torch.equal(encoder.net.layer1[0].conv1.weight, donor.layer1[0].conv1.weight)
    with pytest.raises(SettingError, match="No file"):
        encoders.build("resnet18", modality="images", channels=3, size=64, pretrained="no.pth")
    with pytest.raises(SettingError, match="do not fit"):
        encoders.build("resnet34", modality="images", channels=3, size=64, pretrained=str(path))
