import subprocess
import sys

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.dyce import DyCE

B, K, D = 8, 4, 6
CENTRES = normalize(torch.eye(K, D), dim=1)


def batch(step, rows=B):
    """Rows of every cluster in turn, of various lengths."""
    generator = torch.Generator().manual_seed(step)
    noise = 0.1 * torch.randn(rows, D, generator=generator)
    lengths = 1 + torch.rand(rows, 1, generator=generator)
    return (CENTRES[torch.arange(rows) % K] + noise) * lengths


def memory(**options):
    torch.manual_seed(0)
    settings = {"clusters": K, "scale": 6, "neighbours": 3, **options}
    return DyCE(D, B, **settings)


def filled(**options):
    found = memory(**options)
    steps = 0
    while not found.ready:
        assert found.update(batch(steps))
        steps += 1
    return found, steps


def test_size_is_that_of_the_paper():
    torch.manual_seed(0)
    assert DyCE(2, 512).size == 8193
    assert memory().size == 4 * B + 1


def test_fills_then_finds_its_clusters():
    found = memory()
    for step in range(4):
        found.update(batch(step))
        assert len(found) == (step + 1) * B
        assert not found.ready
        assert not found.cluster()
        with pytest.raises(DataError, match="no clusters yet"):
            found.nearest(batch(0))
    found.update(batch(4))
    assert found.ready
    assert len(found) == found.size
    torch.testing.assert_close(found.entries[-1], batch(4)[0])
    assert int(found.pointer) == 0
    groups = found.labels[:-1].view(-1, K)
    assert (groups == groups[0]).all()
    assert sorted(groups[0].tolist()) == list(range(K))
    means = normalize(found.entries, dim=1)[found.labels == groups[0, 1]].mean(0)
    torch.testing.assert_close(found.prototypes[groups[0, 1]], means)


def test_the_oldest_are_replaced_and_rows_past_the_end_dropped():
    found, steps = filled()
    for step in range(steps, steps + 5):
        last = found.entries.clone()
        start = int(found.pointer)
        found.update(batch(step))
        kept = 1 if start == 4 * B else B
        torch.testing.assert_close(found.entries[start : start + kept], batch(step)[:kept])
        others = torch.ones(found.size, dtype=torch.bool)
        others[start : start + kept] = False
        assert torch.equal(found.entries[others], last[others])
        assert int(found.pointer) == (start + kept) % found.size
    assert int(found.pointer) == 0


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_prototypes_are_means_of_entries_as_they_are(momentum):
    found, steps = filled(momentum=momentum)
    before = found.prototypes.clone()
    found.update(batch(steps))
    for k in range(K):
        mean = found.entries[found.labels == k].mean(0)
        want = (1 - momentum) * mean + momentum * before[k]
        torch.testing.assert_close(found.prototypes[k], want)


def test_a_cluster_without_entries_keeps_its_prototype(monkeypatch):
    found, steps = filled()
    found.labels.fill_(0)
    before = found.prototypes.clone()
    monkeypatch.setattr(found, "assign", lambda z: torch.zeros(len(z), dtype=torch.long))
    found.update(batch(steps))
    assert torch.equal(found.prototypes[1:], before[1:])
    torch.testing.assert_close(found.prototypes[0], found.entries.mean(0))


def test_assignment_is_near_and_even_and_the_released_sign_is_far():
    z = batch(50, 40)
    for options in ({}, {"measure": "cosine"}, {"measure": "cosine", "variant": "released"}):
        found, _ = filled(**options)
        labels = found.assign(z)
        near = torch.cdist(normalize(z, dim=1), normalize(found.prototypes, dim=1)).argmin(1)
        assert torch.equal(labels, near)
        assert (torch.bincount(labels) == 10).all()
    found, _ = filled(variant="released")
    assert (found.assign(z) != near).all()


def loop(found, z, itself=True, slots=None):
    unit, entries = normalize(z, dim=1), normalize(found.entries, dim=1)
    chosen = []
    for i, row in enumerate(unit):
        best = int((normalize(found.prototypes, dim=1) @ row).argmax())
        inside = (found.labels == best).nonzero().flatten().tolist()
        if len(inside) <= found.neighbours:
            inside = list(range(found.size))
        if not itself:
            inside = [j for j in inside if j != slots[i]]
        chosen.append(sorted(inside, key=lambda j: -float(entries[j] @ row))[: found.neighbours])
    return torch.tensor(chosen)


def test_nearest_is_a_loop():
    found, steps = filled()
    found.update(batch(steps))
    assert torch.equal(found.nearest(batch(99)), loop(found, batch(99)))
    assert torch.equal(found.nearest(batch(steps))[:, 0], torch.arange(B))


def test_a_row_can_be_kept_from_finding_itself():
    found, steps = filled(itself=False)
    found.update(batch(steps))
    places = found.nearest(batch(steps))
    assert (places != torch.arange(B)[:, None]).all()
    assert torch.equal(places, loop(found, batch(steps), itself=False, slots=range(B)))
    for step in range(steps + 1, steps + 5):
        found.update(batch(step))
    assert found.slots.tolist() == [found.size - 1, *[-1] * (B - 1)]
    with pytest.raises(DataError, match="latest update"):
        found.nearest(batch(0, B + 1))


def test_a_small_cluster_is_replaced_by_the_whole_memory():
    found, _ = filled(neighbours=9)
    assert sorted(torch.bincount(found.labels).tolist()) == [8, 8, 8, 9]
    places = found.nearest(batch(99))
    assert torch.equal(places, loop(found, batch(99)))
    assert all(len(set(row.tolist())) == 9 for row in places)
    mixed = found.labels[places] != found.labels[places[:, :1]]
    assert mixed.any(1).sum() >= B - B // K


def test_the_released_code_fetches_by_the_place_within_the_cluster():
    ours, _ = filled()
    theirs, _ = filled(variant="released")
    theirs.load_state_dict(ours.state_dict())
    z = batch(99)
    for row, right, wrong in zip(z, ours.nearest(z), theirs.nearest(z), strict=True):
        best = int((normalize(ours.prototypes, dim=1) @ row).argmax())
        inside = (ours.labels == best).nonzero().flatten()
        assert torch.equal(inside[wrong], right)


def test_enriched_views_keep_their_order_and_the_gradient_of_their_own_rows():
    found, _ = filled()
    z = batch(99).double().requires_grad_()
    rich = found.enrich(z)
    assert rich.shape == (B * 4, D)
    assert rich.dtype == z.dtype
    places = found.nearest(z)
    half = B // 2
    for v, view in enumerate(rich.chunk(2)):
        torch.testing.assert_close(view[:half], z[v * half : (v + 1) * half])
        for i in range(half):
            for j in range(3):
                entry = found.entries[places[v * half + i, j]].double()
                torch.testing.assert_close(view[half + 3 * i + j], entry)
    rich.sum().backward()
    torch.testing.assert_close(z.grad, torch.ones_like(z))
    with pytest.raises(DataError, match="2 views"):
        found.enrich(z[:3])


def test_an_incomplete_batch_is_not_stored():
    found = memory()
    assert not found.update(batch(0, B - 1))
    assert len(found) == 0


def test_resumes_from_its_state():
    first, steps = filled()
    second = memory()
    second.load_state_dict(first.state_dict())
    for step in range(steps, steps + 6):
        first.update(batch(step))
        second.update(batch(step))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert torch.equal(first.nearest(batch(99)), second.nearest(batch(99)))


def test_fewer_clusters_than_asked_for_change_nothing():
    found = memory()
    for _ in range(5):
        found.update(torch.ones(B, D))
    assert len(found) == found.size
    assert not found.ready
    ready, _ = filled()
    before = ready.prototypes.clone()
    ready.entries.fill_(1)
    assert not ready.cluster()
    assert torch.equal(ready.prototypes, before)


def test_what_does_not_fit_is_refused():
    found = memory()
    with pytest.raises(DataError, match="width"):
        found.update(torch.randn(B, D + 1))
    with pytest.raises(DataError, match="row 3"):
        found.update(batch(0).index_fill(0, torch.tensor([3]), torch.nan))
    for wrong in (
        {"clusters": 1},
        {"neighbours": 0},
        {"momentum": 2},
        {"epsilon": 0},
        {"measure": "l1"},
        {"variant": "ours"},
        {"scale": 0.1, "clusters": 30},
    ):
        with pytest.raises(SettingError, match=r"clusters|neighbours|momentum|epsilon|measure"):
            memory(**wrong)


WORKER = """
import sys, torch
sys.path.insert(0, sys.argv[4])
from test_dyce import batch, memory
place, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=store, rank=place, world_size=2)
out_of = {1: ([0, 1, 2], [3, 4, 5, 6, 7]), 2: ([0, 4], [1, 2, 3, 5, 6, 7])}
results = []
for views, shares in out_of.items():
    found, own = memory(itself=False), shares[place]
    for step in range(8):
        found.update(batch(step)[own], views, across_ranks=True)
    near = torch.full((8, found.neighbours), -1)
    near[own] = found.nearest(batch(7)[own], views, across_ranks=True)
    results.append((found.state_dict(), near))
torch.save(results, out)
torch.distributed.destroy_process_group()
"""


@pytest.mark.ranks
def test_two_ranks_equal_one_process(tmp_path):
    """Of one view, and of two, whose rows one process holds view by view."""
    outs = [tmp_path / f"{place}.pt" for place in range(2)]
    here = __file__.rpartition("/")[0]
    arguments = [(str(place), f"file://{tmp_path}/store", str(outs[place])) for place in range(2)]
    started = [
        subprocess.Popen([sys.executable, "-c", WORKER, *three, here]) for three in arguments
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    found = memory(itself=False)
    for step in range(8):
        found.update(batch(step))
    for (left, first), (right, second) in zip(*(torch.load(out) for out in outs), strict=True):
        for name, value in found.state_dict().items():
            torch.testing.assert_close(left[name], value)
            assert torch.equal(left[name], right[name])
        assert torch.equal(torch.maximum(first, second), found.nearest(batch(7)))
