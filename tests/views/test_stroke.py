import pytest
import torch

from counterpoint.views.stroke import restroke


def line(ink: float, ground: float) -> torch.Tensor:
    images = torch.full((1, 1, 32, 32), ground)
    images[..., 6:26, 14:18] = ink
    return images


def covered(images: torch.Tensor, ground: float) -> float:
    return float((images - ground).abs().sum())


@pytest.mark.parametrize(("ink", "ground"), [(1.0, 0.0), (0.0, 1.0), (0.9, 0.2)])
def test_thicker_and_thinner_in_either_polarity(ink, ground):
    image = line(ink, ground)
    thin = restroke(image, torch.tensor([[1.0, 1.0, 0.0]]), 0.5, 3.0)
    thick = restroke(image, torch.tensor([[1.0, 0.0, 1.0]]), 0.5, 3.0)
    before = covered(image, ground)
    assert covered(thin, ground) < 0.9 * before
    assert covered(thick, ground) > 1.2 * before
    for changed in (thin, thick):
        assert changed[0, 0, 16, 0].item() == pytest.approx(ground, abs=1e-6)
        low, high = sorted((ink, ground))
        assert low - 1e-5 <= changed.min()
        assert changed.max() <= high + 1e-5


def test_faint_strokes_do_not_vanish():
    image = line(0.15, 0.0)
    changed = restroke(image, torch.tensor([[1.0, 1.0, 0.0]]), 0.6, 2.0)
    assert changed.max().item() == pytest.approx(0.15, abs=1e-5)


def test_blank_stays_blank():
    blank = torch.full((2, 1, 32, 32), 0.5)
    assert torch.allclose(restroke(blank, torch.rand(2, 3), 0.5, 3.0), blank, atol=1e-6)


def test_light_and_dark_strokes_on_one_paper_stay_in_range():
    images = torch.cat([line(0.0, 0.8)[..., :16], line(1.0, 0.8)[..., 16:]], -1)
    changed = restroke(images, torch.tensor([[0.0, 0.0, 1.0]]), 0.5, 3.0)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert changed[0, 0, 16, 16] > 0.8 > changed[0, 0, 16, 15]
