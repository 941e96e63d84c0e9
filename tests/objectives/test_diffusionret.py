"""DiffusionRet: similarity, both losses, denoiser, schedule, lists and re-ranking."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.encoders.list_denoiser import ListDenoiser, pool_by_query, step_table
from counterpoint.encoders.noise_schedule import NoiseSchedule
from counterpoint.encoders.token_weights import TokenWeights
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import Discrimination, ListGeneration
from counterpoint.objectives.clip import clip
from counterpoint.objectives.diffusionret import discrimination, list_generation, token_similarity
from counterpoint.pairs.candidate_lists import candidate_lists, reranked


def draw():
    torch.manual_seed(0)
    text, video = torch.randn(3, 4, 6).double(), torch.randn(2, 5, 6).double()
    masks = torch.ones(3, 4), torch.ones(2, 5)
    masks[0][1, 2:] = 0
    masks[1][0, 4:] = 0
    alpha, beta = torch.rand(3, 4).double(), torch.rand(2, 5).double()
    return text.requires_grad_(), video.requires_grad_(), alpha, beta, *masks


def test_similarity_equals_the_loop():
    text, video, alpha, beta, text_mask, video_mask = draw()
    found = token_similarity(text, video, alpha, beta, text_mask, video_mask)
    t, v = normalize(text, dim=2), normalize(video, dim=2)
    for a in range(3):
        for b in range(2):
            r = (t[a] @ v[b].T) * text_mask[a][:, None] * video_mask[b]
            want = (alpha[a] @ r.max(1).values + beta[b] @ r.max(0).values) / 2
            torch.testing.assert_close(found[a, b], want)
    assert torch.autograd.gradcheck(
        lambda x, y: token_similarity(x, y, alpha, beta, text_mask, video_mask), (text, video)
    )


def test_of_equal_frames_the_first_learns():
    text, frames, alpha, _, text_mask, _ = draw()
    video = torch.stack([frames[:, 0], frames[:, 0]], 1).detach().requires_grad_()
    weight = torch.zeros(2, 2).double()
    token_similarity(text, video, alpha, weight, text_mask, torch.ones(2, 2)).sum().backward()
    assert video.grad[:, 0].abs().sum() > 0
    assert video.grad[:, 1].abs().sum() == 0


def test_one_token_each_is_clip():
    torch.manual_seed(1)
    x, y = torch.randn(2, 5, 1, 6)
    ones = torch.ones(5, 1)
    similarity = token_similarity(x, y, ones, ones, ones, ones)
    torch.testing.assert_close(discrimination(similarity, 0.2), clip(x[:, 0], y[:, 0], 0.2))
    rows = discrimination(similarity, 0.2, reduction="none")
    torch.testing.assert_close(rows.mean(), discrimination(similarity, 0.2))
    assert discrimination(similarity[:1, :1]) == 0


def test_weights_sum_to_one_over_valid_tokens():
    weights = TokenWeights(6)
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    found = weights(torch.randn(2, 3, 6), mask)
    assert found[0, 2] == 0
    torch.testing.assert_close(found.sum(1), torch.ones(2))


def features(rows=2, length=5, frames=3, width=6):
    torch.manual_seed(2)
    text = torch.randn(rows, width, requires_grad=True)
    videos = torch.randn(rows, length, frames, width, requires_grad=True)
    return text, videos, torch.ones(rows, length, frames), torch.randn(rows, length)


def test_candidates_are_equivariant_and_features_get_no_gradient():
    text, videos, mask, x = features()
    net, n, order = ListDenoiser(6), torch.tensor([3, 7]), torch.randperm(5)
    out = net.of_videos(x, n, text, videos, mask)
    moved = net.of_videos(x[:, order], n, text, videos[:, order], mask[:, order])
    torch.testing.assert_close(moved, out[:, order])
    list_generation(out).backward()
    assert text.grad is None
    assert videos.grad is None
    assert net.decoder[2].weight.grad.abs().sum() > 0
    frames, texts = videos[:, 0], videos[:, :, 0]
    out = net.of_texts(x, n, frames, mask[:, 0], texts)
    moved = net.of_texts(x[:, order], n, frames, mask[:, 0], texts[:, order])
    torch.testing.assert_close(moved, out[:, order])


def test_without_query_and_decoder_the_prediction_is_the_softmax():
    text, videos, mask, x = features()
    net = ListDenoiser(6)
    torch.nn.init.zeros_(net.query.weight)
    torch.nn.init.zeros_(net.decoder[2].weight)
    out = net.of_videos(x, torch.tensor([0, 1]), text, videos, mask)
    torch.testing.assert_close(out, x.softmax(1))


def test_a_masked_video_pools_to_zero_and_time_is_a_sinusoid():
    text, videos, mask, _ = features()
    mask[0, 1] = 0
    pooled = pool_by_query(text[:, None], videos, mask)
    assert (pooled[0, 1] == 0).all()
    want = sum(
        (videos[1, 2] @ text[1]).softmax(0)[f] * videos[1, 2, f] for f in range(videos.shape[2])
    )
    torch.testing.assert_close(pooled[1, 2], want)
    row = step_table(torch.tensor([5]), 4, text)[0]
    angles = [5.0, 5.0 * 10000**-0.5]
    want = torch.tensor([f(a) for a in angles for f in (math.sin, math.cos)])
    torch.testing.assert_close(row, want)


def test_schedule_and_sampling():
    schedule = NoiseSchedule(20)
    assert len(schedule) == 20
    assert schedule.betas[-1] == 0.999
    assert (schedule.kept.diff() < 0).all()
    torch.testing.assert_close(schedule.kept, (1 - schedule.betas).cumprod(0))
    target = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    noise = torch.randn(1, 3, dtype=torch.float64)
    torch.testing.assert_close(schedule.sample(lambda x, n: target, noise), target)
    clipped = schedule.sample(lambda x, n: 3 * target, noise)
    torch.testing.assert_close(clipped, target)
    torch.testing.assert_close(schedule.sample(lambda x, n: 3 * target, noise, None), 3 * target)
    kept = schedule.kept[4]
    noisy = schedule.noisy(target, torch.tensor([4]), noise)
    torch.testing.assert_close(noisy, kept.sqrt() * target + (1 - kept).sqrt() * noise)
    drawn = schedule.draw_steps(torch.zeros(500, 1))
    assert (drawn.min(), drawn.max()) == (0, 19)
    with pytest.raises(DataError, match="Steps"):
        schedule.noisy(target, torch.tensor([20]), noise)
    with pytest.raises(SettingError, match="steps"):
        NoiseSchedule(0)
    with pytest.raises(SettingError, match="form"):
        NoiseSchedule(20, form="square")


def test_linear_schedule_is_that_of_a_thousand_steps_at_any_number():
    betas = NoiseSchedule(1000, form="linear").betas
    torch.testing.assert_close(betas[[0, -1]], torch.tensor([1e-4, 0.02]).double())
    fewer = NoiseSchedule(100, form="linear")
    torch.testing.assert_close(fewer.betas[[0, -1]], torch.tensor([1e-3, 0.2]).double())
    torch.testing.assert_close(fewer.betas.diff(), fewer.betas.diff()[0].expand(99))
    assert fewer.kept[-1] < 1e-4
    assert NoiseSchedule(20, form="linear").betas[-1] == 0.999


def test_generation_loss():
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    want = -(2 * x).log_softmax(1)[:, 0]
    torch.testing.assert_close(list_generation(x, 2.0, reduction="none"), want)
    torch.testing.assert_close(list_generation(x, 2.0), want.mean())
    assert torch.autograd.gradcheck(lambda x: list_generation(x, 2.0), x)
    assert list_generation(x[:, :1]) == 0


def test_lists_leave_out_items_of_the_same_id_and_shrink():
    torch.manual_seed(3)
    s = torch.randn(6, 6)
    ids = torch.tensor([0, 0, 1, 2, 3, 4])
    lists = candidate_lists(s, 4, ids)
    assert lists[:, 0].tolist() == list(range(6))
    for i in range(6):
        others = [j for j in s[i].argsort(descending=True).tolist() if ids[j] != ids[i]]
        assert lists[i, 1:].tolist() == others[:3]
    assert candidate_lists(s, 128, ids).shape == (6, 5)
    assert candidate_lists(s, 1).shape == (6, 1)


def test_reranking_moves_only_the_listed():
    torch.manual_seed(0)
    s, x = torch.randn(2, 5), torch.randn(2, 2)
    lists = torch.tensor([[0, 3], [4, 1]])
    found = reranked(s, lists, x, gain=2.0, sharpness=3.0)
    moved = found - s
    torch.testing.assert_close(moved.gather(1, lists), 2 * (3 * x).softmax(1))
    assert (moved != 0).sum() == 4


def test_modules_and_bad_input():
    s = torch.randn(4, 4)
    assert torch.equal(Discrimination(0.5)(s), discrimination(s, 0.5))
    assert torch.equal(ListGeneration(3.0)(s), list_generation(s, 3.0))
    for call in (discrimination, list_generation):
        with pytest.raises(DataError, match="row 1"):
            call(s.index_fill(0, torch.tensor([1]), torch.nan))
        with pytest.raises(SettingError, match="reduction"):
            call(s, reduction="median")
    with pytest.raises(DataError, match="N, N"):
        discrimination(s[:3])
    with pytest.raises(SettingError, match="temperature"):
        discrimination(s, 0)
    text, video, *rest = draw()
    with pytest.raises(DataError, match="mask"):
        token_similarity(text, video, rest[1], *rest[1:])
    with pytest.raises(SettingError, match="width"):
        ListDenoiser(5)
    with pytest.raises(DataError, match="fit"):
        reranked(s, torch.zeros(4, 2).long(), torch.zeros(4, 3))
