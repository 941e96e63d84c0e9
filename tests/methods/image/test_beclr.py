"""BECLR's memories: when they are stored, when they enrich, and what a teacher sees."""

import copy
import math

import pytest
import torch

from counterpoint import methods
from counterpoint.errors import DataError, SettingError
from counterpoint.training import TrainSettings, train
from counterpoint.training.loader import make_views

SMALL = {"clusters": 4, "room": 16.0, "neighbours": 2, "outputs": 16, "enrich_from": 0.0}


@pytest.fixture
def data(data_of):
    return data_of("images")


@pytest.fixture
def build(encoder_of):
    def make(**arguments):
        encoder = encoder_of("images")
        torch.manual_seed(1)
        return methods.build("beclr", encoder, **{**SMALL, **arguments})

    return make


def batch_of(method, data, rows=16, start=0):
    index = torch.arange(start, start + rows)
    return make_views(data.train, method.views(data), method.encoder, index)


def stepped(method, data, steps, progress=0.5):
    """Parts of the last of some steps without an optimiser."""
    for step in range(steps):
        method.before_step(progress)
        parts = method(batch_of(method, data, start=16 * (step % 8)))
    return parts


def test_batches_are_enriched_once_memories_are_full_and_clustered(build, data):
    method = build()
    assert len(method.memories) == 0
    added = [float(stepped(method, data, 1)["neighbours"]) for _ in range(4)]
    assert added == [0, 0, 0, 2]
    assert all(memory.size == 3 * 32 + 1 for memory in method.memories.values())


def test_waits_for_its_start_and_never_enriches_at_one(build, data):
    late = build(enrich_from=0.6)
    assert float(stepped(late, data, 5)["neighbours"]) == 0
    assert float(stepped(late, data, 1, progress=0.6)["neighbours"]) == 2
    assert float(stepped(build(enrich_from=1.0), data, 5, progress=1.0)["neighbours"]) == 0


def test_gradient_flows_through_the_originals_alone(build, data):
    method = build()
    stepped(method, data, 4)
    stepped(method, data, 1)["loss"].backward()
    assert all(not memory.entries.requires_grad for memory in method.memories.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.head.parameters())
    assert all(p.grad is None for p in method.teacher.parameters())


def test_an_incomplete_batch_is_neither_stored_nor_enriched(build, data):
    method = build()
    stepped(method, data, 4)
    before = {key: value.clone() for key, value in method.memories.state_dict().items()}
    parts = method(batch_of(method, data, rows=6))
    assert float(parts["neighbours"]) == 0
    assert math.isfinite(float(parts["loss"].detach()))
    after = method.memories.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_a_batch_of_one_is_refused(build, data):
    method = build().eval()
    with pytest.raises(DataError, match="at least 2 samples"):
        method(batch_of(method, data, rows=1))


def test_evaluation_changes_no_memory(build, data):
    method = build()
    stepped(method, data, 4)
    before = copy.deepcopy(method.memories.state_dict())
    method.eval()
    assert float(method(batch_of(method, data))["neighbours"]) == 0
    assert all(torch.equal(v, before[k]) for k, v in method.memories.state_dict().items())


def test_a_memory_larger_than_the_data_trains_and_is_loaded_before_the_first_step(
    build, data, tmp_path
):
    method = build(room=100.0, recluster=2)
    train(method, data, TrainSettings.of(steps=16, batch_size=32), tmp_path)
    memory = method.memories["teacher"]
    assert memory.ready
    assert memory.size > 2 * len(data.train)
    again = build(room=100.0)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.memories["teacher"].entries, memory.entries)


def test_memories_are_clustered_anew_at_their_epochs(build, data):
    method = build(recluster=3)
    stepped(method, data, 4)
    memory = method.memories["teacher"]
    memory.prototypes.zero_()
    method.begin_epoch(4, data)
    assert not memory.prototypes.any()
    method.begin_epoch(6, data)
    assert memory.prototypes.any(1).all()


def test_clusters_that_die_keep_their_prototype(build, data):
    method = build(memory_momentum=0.5)
    stepped(method, data, 4)
    memory = method.memories["teacher"]
    memory.labels.fill_(0)
    lost = memory.prototypes[1:].clone()
    memory.assign = lambda z: torch.zeros(len(z), dtype=torch.int64)
    parts = stepped(method, data, 1)
    assert torch.equal(memory.prototypes[1:], lost)
    assert math.isfinite(float(parts["loss"].detach()))


def test_student_sees_less_than_the_teacher(build, data):
    method, whole = build(hide=0.5).eval(), build().eval()
    batch = batch_of(method, data)
    codes, plain = method.encode(batch), whole.encode(batch)
    torch.testing.assert_close(codes["teacher1"], plain["teacher1"])
    assert not torch.allclose(codes["student1"], plain["student1"], atol=1e-3)


def test_teacher_follows_after_the_step_ever_more_slowly(build, data):
    method = build()
    assert method.teacher.at(0.0) == pytest.approx(0.995)
    assert method.teacher.at(1.0) == 1
    weight, moved = method.head[0].weight, method.teacher.network[1][0].weight
    with torch.no_grad():
        weight.add_(1)
    before = moved.clone()
    method.before_step(0.0)
    assert torch.equal(moved, before)
    method.after_step(0.0)
    torch.testing.assert_close(moved, before + 0.005)


def test_settings_that_cannot_be_are_refused(build):
    with pytest.raises(SettingError, match="clusters at least 2"):
        build(clusters=1)
    with pytest.raises(SettingError, match="outputs"):
        build(outputs=2)
