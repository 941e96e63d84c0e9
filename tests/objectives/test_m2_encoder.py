"""Grouped aggregation: in one process, and over groups of processes for the softmax family."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from groups_worker import ROWS, adaptive, calls, of_group, pairs
from torch import nn

from counterpoint.engine.ranks import aggregation, peers
from counterpoint.errors import SettingError
from counterpoint.objectives import GroupedCLIP
from counterpoint.objectives import functional as F

WORKER = Path(__file__).parent / "groups_worker.py"
N = 2 * ROWS


def draw():
    return [z.requires_grad_() for z in pairs()]


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_is_the_mean_of_the_losses_of_its_groups(groups):
    x, y = draw()
    parts = zip(x.chunk(groups), y.chunk(groups), strict=True)
    want = torch.stack([F.clip(a, b, 0.3) for a, b in parts]).mean()
    found = F.grouped_clip(x, y, 0.3, groups=groups)
    torch.testing.assert_close(found, want, rtol=1e-10, atol=0)
    for a, b in zip(*(torch.autograd.grad(loss, [x, y]) for loss in (found, want)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_uneven_groups_weigh_by_their_size():
    x, y = (z[:11] for z in draw())
    first, second = (F.clip(x[rows], y[rows]) for rows in (slice(0, 5), slice(5, 11)))
    torch.testing.assert_close(F.grouped_clip(x, y, groups=2), (5 * first + 6 * second) / 11)


def test_is_a_loop():
    x, y = draw()
    t = torch.linspace(0.1, 0.5, N, dtype=torch.float64)
    u, v = (nn.functional.normalize(z, dim=1) for z in (x, y))
    want = []
    for i in range(N):
        group = range(i // 4 * 4, i // 4 * 4 + 4)
        along = torch.stack([u[i] @ v[j] / t[i] for j in group]).logsumexp(0)
        down = torch.stack([v[i] @ u[j] / t[i] for j in group]).logsumexp(0)
        want.append((along + down) / 2 - u[i] @ v[i] / t[i])
    found = F.grouped_clip(x, y, t, groups=3, reduction="none")
    torch.testing.assert_close(found, torch.stack(want))


def test_one_group_is_clip_and_groups_of_one_lose_nothing():
    x, y = draw()
    torch.testing.assert_close(F.grouped_clip(x, y, groups=1), F.clip(x, y), rtol=0, atol=0)
    alone = F.grouped_clip(x, y, groups=N)
    assert alone.item() == pytest.approx(0, abs=1e-12)
    assert torch.autograd.grad(alone, x)[0].abs().max() < 1e-12


def test_no_row_loses_more_than_in_the_whole_batch():
    x, y = draw()
    whole, parts = (F.grouped_clip(x, y, groups=g, reduction="none") for g in (1, 4))
    assert (parts <= whole + 1e-12).all()
    far = torch.zeros(64, 3) + torch.randn(64, 1)
    gap = F.grouped_clip(far, far) - F.grouped_clip(far, far, groups=4)
    assert gap.item() == pytest.approx(torch.tensor(4.0).log().item(), abs=0.15)


def test_derivatives_and_a_learnable_temperature():
    x, y = draw()
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *z: F.grouped_clip(*z, groups=3), [x, y, t])


def test_duplicates_are_found_within_their_group():
    x, y = draw()
    ids = torch.tensor([0, 0, 1, 2, 3, 3, 4, 0, 5, 6, 7, 7])
    parts = zip(x.chunk(2), y.chunk(2), ids.chunk(2), strict=True)
    want = torch.stack([F.clip(a, b, ids=own) for a, b, own in parts]).mean()
    torch.testing.assert_close(F.grouped_clip(x, y, groups=2, ids=ids), want)


def test_what_does_not_divide_is_refused():
    x, y = draw()
    for groups in (0, N + 1):
        with pytest.raises(SettingError, match="groups"):
            F.grouped_clip(x, y, groups=groups)
    with pytest.raises(SettingError, match="number of ranks, 1"):
        F.grouped_clip(x, y, groups=2, across_ranks=True)
    with pytest.raises(SettingError, match="groups_of"), aggregation(2):
        pass
    with aggregation(1) as own:
        assert own.size == peers().size == 1
    assert "groups=2" in repr(GroupedCLIP(groups=2))


def expected(example, groups):
    """Loss of one process that holds all groups, and its gradient for each."""
    losses, leaves = [], []
    for group in range(groups):
        leaves.append([of_group(x, group).requires_grad_() for x in example.embeddings])
        losses.append(example(*leaves[-1]))
    loss = torch.stack(losses).sum()
    if example.options.get("reduction") != "sum":
        loss = loss / groups
    return loss.detach(), [torch.autograd.grad(loss, own, retain_graph=True) for own in leaves]


def run(world, size, folder):
    outs = [folder / f"rank{rank}.pt" for rank in range(world)]
    started = [
        subprocess.Popen(
            [sys.executable, WORKER, str(rank), str(world), str(size), folder / "init", out],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, out in enumerate(outs)
    ]
    try:
        for process in started:
            _, problems = process.communicate(timeout=240)
            assert process.returncode == 0, problems
    finally:
        for process in started:
            process.kill()
    return [torch.load(out) for out in outs]


@pytest.mark.ranks
@pytest.mark.parametrize(("world", "size"), [(2, 1), (4, 2)])
def test_groups_of_processes_equal_one_process(world, size, tmp_path):
    warnings.simplefilter("ignore")
    found = run(world, size, tmp_path)
    groups, share = world // size, ROWS // size
    for example in calls():
        loss, grads = expected(example, groups)
        for rank, (results, _) in enumerate(found):
            value, own = results[str(example)]
            torch.testing.assert_close(value, loss, rtol=1e-9, atol=1e-10, msg=str(example))
            place = slice(rank % size * share, (rank % size + 1) * share)
            for mine, whole in zip(own, grads[rank // size], strict=True):
                torch.testing.assert_close(
                    mine / world, whole[place], rtol=1e-8, atol=1e-9, msg=str(example)
                )
    for hardest in (None, 2):
        wanted = []
        for start in range(0, groups * ROWS, ROWS):
            leaves = [z[start : start + ROWS].detach().requires_grad_() for z in draw()]
            wanted.append(adaptive(*leaves, hardest, False))
        parts = [results["adaptive", hardest] for results, _ in found]
        for rank, (value, own) in enumerate(parts):
            mean = sum(loss for loss, _ in wanted) / groups
            torch.testing.assert_close(value, mean)
            place = slice(rank % size * share, (rank % size + 1) * share)
            for mine, whole in zip(own[:2], wanted[rank // size][1], strict=False):
                torch.testing.assert_close(mine / world, whole[place] / groups)
        for at in range(2, len(parts[0][1])):
            averaged = sum(own[at] for _, own in parts) / world
            torch.testing.assert_close(averaged, sum(own[at] for _, own in wanted) / groups)
    x, y = draw()
    rows = size * share * groups
    loss = F.grouped_clip(x[:rows], y[:rows], 0.3, groups=groups)
    grad = torch.autograd.grad(loss, x)[0]
    for rank, (results, refused) in enumerate(found):
        value, own = results["grouped_clip"]
        torch.testing.assert_close(value, loss.detach())
        mine = grad[rank * share : (rank + 1) * share]
        torch.testing.assert_close(own[0] / world, mine)
        assert len(refused) == 2
        assert all("divide the number of ranks" in message for message in refused)
