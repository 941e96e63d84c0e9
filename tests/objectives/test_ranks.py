"""Several processes give the loss and the gradients of one process holding all rows."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from examples import accepts, examples, swept

WORKER = Path(__file__).parent / "ranks_worker.py"


def run(shares, folder):
    init = folder / "init"
    outs = [folder / f"rank{rank}.pt" for rank in range(len(shares))]
    command = [sys.executable, WORKER]
    processes = [
        subprocess.Popen(
            [*command, str(rank), ",".join(map(str, shares)), init, out],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, out in enumerate(outs)
    ]
    try:
        for process in processes:
            _, problems = process.communicate(timeout=240)
            assert process.returncode == 0, problems
    finally:
        for process in processes:
            process.kill()
    return [torch.load(out) for out in outs]


@pytest.mark.ranks
@pytest.mark.parametrize("shares", [[11], [4, 7], [3, 2, 5, 4]], ids=["1", "2", "4"])
def test_every_objective_equals_one_process(shares, tmp_path):
    warnings.simplefilter("ignore")
    results = run(shares, tmp_path)
    world = len(shares)
    compared = 0
    for objective in swept():
        if not accepts(objective, "across_ranks"):
            continue
        for example in examples(objective, sum(shares)):
            more = {}
            if accepts(objective, "temperature"):
                more["temperature"] = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
            loss = example(**more)
            grads = torch.autograd.grad(loss, [*example.embeddings, *more.values()])
            found = [result[str(example)] for result in results]
            for value, _ in found:
                torch.testing.assert_close(value, loss, rtol=1e-9, atol=1e-10, msg=str(example))
            for place, grad in enumerate(grads):
                parts = [grads_of_rank[place] / world for _, grads_of_rank in found]
                whole = torch.cat(parts) if grad.dim() else torch.stack(parts).sum()
                torch.testing.assert_close(
                    whole, grad, rtol=1e-8, atol=1e-9, msg=f"{example} gradient {place}"
                )
            compared += 1
    assert compared >= len(swept())
