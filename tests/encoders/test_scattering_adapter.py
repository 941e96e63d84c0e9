import pytest
import torch

from counterpoint import encoders
from counterpoint.encoders.scattering_adapter import LAYOUTS
from counterpoint.errors import SettingError


def build(name="scatsimclr8", channels=1, size=8, **options):
    torch.manual_seed(0)
    return encoders.build(name, modality="images", channels=channels, size=size, **options)


def weights(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "angles", "millions"),
    [
        ("scatsimclr8", 16, 6.1),
        ("scatsimclr12", 8, 7.8),
        ("scatsimclr16", 16, 10.4),
        ("scatsimclr30", 8, 14.1),
    ],
)
def test_as_many_trained_weights_as_in_the_paper(name, angles, millions):
    projector = 2048 * 2048 + 2048 * 128
    encoder = build(name, channels=3, size=32, angles=angles)
    assert encoder.width == 2048
    assert (weights(encoder) + projector) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_known_by_name_and_rebuilt_from_its_config(name):
    assert name in encoders.names("images")
    encoder = build(name, width=16, angles=2).eval()
    x = encoder.prepare([torch.rand(1, 8, 8) for _ in range(2)])
    h = encoder(x)
    assert h.shape == (2, encoder.width) == (2, 16 * 16)
    again = encoders.build(**encoder.config).eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(x), h)


@pytest.mark.parametrize(("size", "side"), [(8, 16), (16, 16), (28, 28), (30, 32)])
def test_images_are_brought_to_a_side_that_can_be_scattered(size, side):
    encoder = build(size=size, width=16, angles=2)
    assert encoder.config["working"] == side
    assert encoder(torch.rand(2, 1, size, size)).isfinite().all()


def test_the_baseline_has_equal_weights_and_no_scattering():
    scattering, convolution = build(width=32), build(width=32, front="convolution")
    assert weights(convolution) == pytest.approx(weights(scattering), rel=0.01)
    assert not list(scattering.net[1].parameters())
    assert list(convolution.net[1].parameters())
    assert convolution(torch.rand(2, 1, 8, 8)).shape == (2, scattering.width)


def test_only_the_adapter_is_trained():
    encoder = build(width=16, angles=2)
    encoder(torch.rand(4, 1, 8, 8)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in encoder.parameters())
    assert encoder.net[1].psi.grad is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"working": 18}, "multiple of 4"),
        ({"working": 8}, "at least 16"),
        ({"width": 24}, "multiple of 16"),
        ({"scales": 0}, "1 scale"),
        ({"angles": 0}, "one angle"),
        ({"front": "wavelet"}, "scattering"),
        ({"angels": 8}, "angles"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, said):
    with pytest.raises(SettingError, match=said):
        build(**options)
