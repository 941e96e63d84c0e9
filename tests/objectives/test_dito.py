"""DITO: shifted windows, contrast of random regions, detection scores."""

import math

import pytest
import torch
from torch.nn.functional import layer_norm

from counterpoint.encoders.shifted_windows import (
    ShiftedWindowTransformer,
    WindowedBlock,
    window_pattern,
)
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import RegionCLIP
from counterpoint.objectives.clip import clip
from counterpoint.objectives.dito import region_clip
from counterpoint.probes.detection_scores import detection_scores, region_logits
from counterpoint.views.random_boxes import random_boxes

ROLLS = [(-1, 1), (1, -1), (1, 1), (-1, -1)]


def backbone(shift, windows=(2, None, 2), position=False):
    torch.manual_seed(0)
    net = ShiftedWindowTransformer(8, 2, windows, patch=2, grid=4, shift=shift).double()
    if not position:
        torch.nn.init.zeros_(net.position)
    return net


def images(rows=2):
    torch.manual_seed(1)
    return torch.randn(rows, 3, 8, 8, dtype=torch.float64)


def translation_error(net, roll):
    x = images()
    rolled = net(x.roll((2 * roll[0], 2 * roll[1]), (2, 3)))
    plain = net(x)
    return ((rolled - plain.roll(roll, (2, 3))).norm() / plain.norm()).item()


@pytest.mark.parametrize("roll", ROLLS)
def test_the_shifted_pass_takes_away_the_borders_of_windows(roll):
    assert translation_error(backbone(1), roll) < 1e-12
    assert translation_error(backbone(0), roll) > 1e-3


@pytest.mark.parametrize("roll", [(0, 1), (1, 0), (1, 1)])
def test_with_positions_the_error_falls(roll):
    with_shift = translation_error(backbone(1, position=True), roll)
    assert with_shift < translation_error(backbone(0, position=True), roll)


def test_global_layers_and_shifts_of_whole_windows_see_no_difference():
    x = images()
    for windows, shift in (((None, None), 1), ((2, 2), 2)):
        torch.testing.assert_close(backbone(shift, windows)(x), backbone(0, windows)(x))


def test_rows_go_up_and_columns_right_before_the_average():
    net, x = backbone(1, position=True), images()
    grid = net.patches(x).permute(0, 2, 3, 1)
    passes = [net.blocks(grid + net.position)]
    rolled = net.blocks(grid.roll((-1, 1), (1, 2)) + net.position)
    passes.append(rolled.roll((1, -1), (1, 2)))
    want = layer_norm(sum(passes) / 2, (8,), net.norm.weight, net.norm.bias, 1e-6)
    torch.testing.assert_close(net(x), want.permute(0, 3, 1, 2))


def test_attention_stays_inside_its_window():
    torch.manual_seed(2)
    block = WindowedBlock(6, 3, 2)
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    block(x)[0, 0, 0].sum().backward()
    touched = x.grad[0].abs().sum(2) > 0
    assert touched[:2, :3].all()
    assert touched.sum() == 6
    for row in (slice(0, 2), slice(2, 4)):
        for column in (slice(0, 3), slice(3, 6)):
            alone = WindowedBlock(6, 3, None)
            alone.load_state_dict(block.state_dict())
            part = x[:, row, column]
            torch.testing.assert_close(block(x)[:, row, column], alone(part))


def test_pattern_and_other_grids():
    assert [i + 1 for i, k in enumerate(window_pattern(12)) if k is None] == [3, 6, 9, 12]
    assert [i + 1 for i, k in enumerate(window_pattern(24)) if k is None] == [6, 12, 18, 24]
    assert window_pattern(3, 2, 1) == [2, 2, None]
    net = backbone(1, position=True)
    assert net(torch.randn(1, 3, 16, 24).double()).shape == (1, 8, 8, 12)
    with pytest.raises(DataError, match="windows"):
        net(torch.randn(1, 3, 6, 8).double())
    with pytest.raises(DataError, match="whole patches"):
        net(torch.randn(1, 3, 7, 8).double())
    with pytest.raises(SettingError, match="stages"):
        window_pattern(10)
    with pytest.raises(SettingError, match="heads"):
        WindowedBlock(5, 2)


def test_positions_of_a_smaller_grid_are_means_over_triangles():
    net = ShiftedWindowTransformer(1, 1, [None], patch=2, grid=4, shift=0).double()
    row = torch.tensor([0.0, 1.0, 2.0, 5.0], dtype=torch.float64)
    net.position.data = row[None, :, None].expand(4, 4, 1).contiguous()
    weights = torch.tensor([0.75, 0.75, 0.25, 0.0], dtype=torch.float64) / 1.75
    wanted = torch.stack([weights @ row, weights.flip(0) @ row])
    torch.testing.assert_close(net._position(2, 2)[..., 0], wanted.expand(2, 2))


def test_regions_are_pooled_by_channel_and_levels_averaged():
    torch.manual_seed(3)
    regions = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    text = torch.randn(5, 4, dtype=torch.float64)
    want = (clip(regions[0].amax(1), text) + clip(regions[1].amax(1), text)) / 2
    torch.testing.assert_close(region_clip(regions, text), want)
    torch.testing.assert_close(region_clip(regions[0, :, :1], text), clip(regions[0, :, 0], text))
    rows = RegionCLIP(0.3, reduction="none")(regions, text)
    torch.testing.assert_close(rows.mean(), region_clip(regions, text, 0.3))
    region_clip(regions, text).backward()
    assert ((regions.grad != 0).sum(2) == 1).all()
    assert torch.autograd.gradcheck(lambda r, t: region_clip(r, t, 0.5), (regions, text))
    assert abs(region_clip(regions[:, :1], text[:1]).item()) < 1e-12
    with pytest.raises(DataError, match="regions"):
        region_clip(text, text)
    with pytest.raises(DataError, match="rows"):
        region_clip(regions, text[:3])


def test_boxes_lie_inside_and_are_never_empty():
    boxes = random_boxes(200, 16, generator=torch.Generator().manual_seed(0))
    assert boxes.shape == (200, 16, 4)
    size = boxes[..., 2:] - boxes[..., :2]
    assert boxes.min() >= 0
    assert boxes.max() <= 1 + 1e-6
    assert size.min() >= 0.2 - 1e-6
    assert size.mean() == pytest.approx(0.6, abs=0.01)
    with pytest.raises(SettingError, match="smallest"):
        random_boxes(1, smallest=0.0)


def test_scores_equal_the_plain_formula():
    torch.manual_seed(4)
    detector, frozen = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    base = torch.tensor([False, True, True, False, False, True])
    objectness = torch.rand(3, 5, dtype=torch.float64)
    p, z = detector.softmax(-1), frozen.softmax(-1)
    alpha = torch.where(base, 0.35, 0.65).double()
    fused = p ** (1 - alpha) * z**alpha
    fused[..., 0] = p[..., 0]
    want = fused / fused.sum(-1, keepdim=True)
    torch.testing.assert_close(detection_scores(detector, frozen, base), want)
    torch.testing.assert_close(
        detection_scores(detector, frozen, base, objectness=objectness),
        want * objectness[..., None] ** 3,
    )
    alone = detection_scores(detector, frozen, base_weight=0.0, novel_weight=0.0)
    torch.testing.assert_close(alone, p)


def test_scores_are_finite_where_probabilities_vanish():
    scores = detection_scores(torch.tensor([[0.0, 900.0]]), torch.tensor([[0.0, -900.0]]))
    assert torch.isfinite(scores).all()
    torch.testing.assert_close(scores.sum(-1), torch.ones(1))


def test_logits_of_zero_vectors_and_bad_input():
    regions = torch.zeros(2, 3, requires_grad=True)
    logits = region_logits(regions, torch.eye(3), 0.01)
    assert (logits == 0).all()
    logits.sum().backward()
    assert torch.isfinite(regions.grad).all()
    diagonal = region_logits(2 * torch.eye(3)[:1], torch.ones(1, 3), 0.1).item()
    assert diagonal == pytest.approx(10 / math.sqrt(3), rel=1e-5)
    with pytest.raises(SettingError, match="temperature"):
        region_logits(regions, regions, 0.0)
    with pytest.raises(DataError, match="width"):
        region_logits(regions, torch.ones(2, 4))
    with pytest.raises(DataError, match="NaN"):
        detection_scores(logits * torch.nan, logits)
    with pytest.raises(DataError, match="shape"):
        detection_scores(logits, logits[:1])
    with pytest.raises(DataError, match="objectness"):
        detection_scores(logits, logits, objectness=torch.ones(3))
    with pytest.raises(SettingError, match="Weights"):
        detection_scores(logits, logits, novel_weight=2.0)
