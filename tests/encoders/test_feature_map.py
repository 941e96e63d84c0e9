import pytest
import torch

from counterpoint import encoders
from counterpoint.encoders.feature_map import feature_map, map_shape
from counterpoint.errors import SettingError


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("conv-tiny", 8, (128, 2, 2)),
        ("conv-small", 32, (256, 2, 2)),
        ("conv-dense", 32, (128, 8, 8)),
        ("resnet18", 32, (512, 4, 4)),
        ("vit_tiny_patch16_224", 32, (192, 2, 2)),
    ],
)
def test_maps_of_built_in_and_timm_encoders(name, size, shape):
    encoder = encoders.build(name, modality="images", channels=3, size=size)
    assert map_shape(encoder) == shape
    assert encoder.training
    images = torch.rand(2, 3, size, size)
    found = feature_map(encoder.eval(), images)
    assert found.shape == (2, *shape)
    if "vit" not in name:
        torch.testing.assert_close(found.mean((2, 3)), encoder(images))


def test_the_shape_is_found_without_learning_from_it():
    encoder = encoders.build("conv-dense", modality="images", channels=1, size=16)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    map_shape(encoder)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_an_encoder_without_a_map_is_refused():
    encoder = encoders.build("mlp", modality="images", channels=1, size=8)
    with pytest.raises(SettingError, match="'mlp' has no feature map"):
        map_shape(encoder)
