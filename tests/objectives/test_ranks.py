"""Several processes give the loss and the gradients of one process holding all rows.

Each objective says in the registry how it behaves across ranks; here that is held to its word.
"""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from examples import share_of_ranks
from ranks_worker import value_and_gradients
from states import LOSSES, loss_step

from counterpoint.objectives import registered

WORKER = Path(__file__).parent / "ranks_worker.py"


def run(shares, folder):
    command = [sys.executable, WORKER, ",".join(map(str, shares)), folder]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(len(shares))]


def whole_gradient(parts, whole):
    """That of one process, out of those of ranks: a rank's is larger by their number."""
    if parts[0].shape == whole.shape:
        return torch.stack(parts).mean(0)
    (axis,) = [d for d in range(whole.dim()) if parts[0].shape[d] != whole.shape[d]]
    return torch.cat(parts, axis) / len(parts)


def compare(whole, found):
    """Holds the results of all ranks against one process."""
    loss, gradients = value_and_gradients(whole)
    values = torch.stack([value for value, _ in found])
    if whole.objective.ranks == "global":
        torch.testing.assert_close(values, values[:1].expand_as(values), rtol=1e-12, atol=0)
    torch.testing.assert_close(values.mean(), loss, rtol=1e-9, atol=1e-10)
    for place, gradient in enumerate(gradients):
        parts = [of_rank[place] for _, of_rank in found]
        torch.testing.assert_close(whole_gradient(parts, gradient), gradient, rtol=1e-8, atol=1e-9)


@pytest.fixture(scope="module", params=[[4, 7], [4, 2, 6, 2]], ids=["2", "4"])
def shares(request):
    return request.param


@pytest.fixture(scope="module")
def found(shares, tmp_path_factory):
    """What every rank computes: of the examples, and of the losses with a state."""
    return run(shares, tmp_path_factory.mktemp("ranks"))


@pytest.mark.ranks
def test_every_objective_behaves_across_ranks_as_declared(shares, found):
    warnings.simplefilter("ignore")
    results = [of_rank for of_rank, _ in found]
    wrong = []
    for objective in registered():
        for whole, _ in share_of_ranks(objective, 0, shares):
            parts = [result[str(whole)] for result in results if str(whole) in result]
            problems = [one for one in parts if isinstance(one, str)]
            if problems or len(parts) < len(shares):
                wrong += problems
                continue
            try:
                compare(whole, parts)
            except AssertionError as error:
                wrong.append(f"{whole}: {error}")
    assert not wrong, "\n\n".join(wrong)
    assert {name.rsplit("-", 1)[0] for name in results[0]} >= {
        one.name for one in registered() if one.ranks == "global" or len(shares) == 2
    }


@pytest.mark.ranks
@pytest.mark.parametrize("name", LOSSES)
def test_every_rank_keeps_the_state_of_one_process(name, found):
    module = LOSSES[name]().double()
    for step in range(3):
        loss, *gradients = loss_step(module, step)
        parts = [of_rank[name][0][step] for _, of_rank in found]
        for value, *_ in parts:
            torch.testing.assert_close(value, loss, rtol=1e-9, atol=1e-10)
        for place, gradient in enumerate(gradients):
            joined = torch.cat([part[1 + place] for part in parts]) / len(parts)
            torch.testing.assert_close(joined, gradient, rtol=1e-8, atol=1e-9)
    for _, of_rank in found:
        torch.testing.assert_close(of_rank[name][1], module.state_dict(), rtol=1e-9, atol=1e-10)
