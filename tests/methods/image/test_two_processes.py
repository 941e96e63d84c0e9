"""Every image method on two processes, all trained by one pair of them.

Without batch normalisation, which is over the rows of a process, and without draws of each process
for itself, two processes give what one gives with the same global batch. With both, they still end
with the same state.
"""

import copy
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from counterpoint import methods
from counterpoint.training import TrainSettings, train

pytestmark = pytest.mark.ranks

WORKER = Path(__file__).parent / "processes_worker.py"
SETTINGS = {"steps": 4, "batch_size": 16, "lr": 1e-2, "optimizer": "sgd"}
ALIKE = {
    "amcl": {},
    "amcl, on moco": {"host": "moco", "queue": 24},
    "beclr": {"clusters": 4, "room": 8.0, "neighbours": 2, "enrich_from": 0.0},
    "cacr": {},
    "dcl": {},
    "feature-transformation": {"positive_alpha": None, "negative_alpha": None, "queue": 24},
    "genview": {"gamma": 0.0},
    "genview, on moco": {"host": "moco", "gamma": 0.0, "queue": 24},
    "groco": {},
    "hydra": {"pairing": "identical"},
    "isogclr": {},
    "mlcd": {"clusters": 20, "positives": 3},
    "mochi": {"hardest": 1, "pairs": 4, "with_query": 0, "mix_from": 0.0, "queue": 24},
    "moco": {"queue": 24},
    "pixpro": {},
    "projection-head": {},
    "scatsimclr": {"pretext_from": 0.0, "dropout": 0.0, "pretext_hidden": 16},
    "simclr": {},
    "supcon": {},
    "temperature": {"mine_from": 0.0},
}
"""Arguments that leave a method no draws, and beclr memories that are full after two steps."""

NAMES = methods.names("images")
OWN = ("running_mean", "running_var", "num_batches_tracked")
FEW_LABELS = "hydra, few labels"


@pytest.fixture(scope="module")
def jobs(encoder_of, data_of, tiny):
    """Methods before training, by name."""
    data = data_of("images")

    def job(name, data, **arguments):
        encoder = encoder_of("images")
        torch.manual_seed(1)
        method = methods.build(name, encoder, **{**tiny(name), **arguments})
        return method, data, SETTINGS

    made = {name: job(name, data) for name in NAMES}
    for name, arguments in ALIKE.items():
        made[alike(name)] = job(name.partition(",")[0], data, **arguments)
        leave_out_batch_norm(made[alike(name)][0])
    few = data.train.labels.clone()
    few[8:] = -1
    made[FEW_LABELS] = job("hydra", replace(data, train=replace(data.train, labels=few)))
    return made


@pytest.fixture(scope="module")
def ranks(jobs, tmp_path_factory):
    """What each process ended with, by name."""
    folder = tmp_path_factory.mktemp("processes")
    torch.save(jobs, folder / "jobs.pt")
    done = subprocess.run(
        [sys.executable, str(WORKER), str(folder)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", ALIKE)
def test_two_processes_equal_one(name, jobs, ranks, tmp_path):
    method, data, settings = copy.deepcopy(jobs[alike(name)])
    alone = train(method, data, TrainSettings.of(**settings), tmp_path).loss
    together, state = ended(ranks[0], alike(name))
    assert together == pytest.approx(alone, rel=1e-4, abs=1e-6)
    for key, value in method.state_dict().items():
        torch.testing.assert_close(state[key], value, atol=1e-5, rtol=1e-4, msg=key)


@pytest.mark.parametrize("name", [*NAMES, FEW_LABELS])
def test_both_processes_end_with_the_same_state(name, ranks):
    (losses, one), (_, other) = (ended(rank, name) for rank in ranks)
    assert all(map(math.isfinite, losses))
    for key, value in one.items():
        if not key.endswith(OWN):
            assert torch.equal(other[key], value), key


def alike(name):
    return f"{name}, alike"


def leave_out_batch_norm(method):
    for module in method.modules():
        for name, part in module.named_children():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                setattr(module, name, nn.Identity())


def ended(rank, name):
    """Losses and state of one process; the error if that is what it ended with."""
    assert name in rank, "the method before ended with an error"
    found = rank[name]
    assert not isinstance(found, str), found
    return found
