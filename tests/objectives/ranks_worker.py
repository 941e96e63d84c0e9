"""Several processes: losses and gradients of their shares of every example.

python ranks_worker.py SHARES FOLDER
"""

import multiprocessing
import sys
import traceback
import warnings
from datetime import timedelta

import torch
import torch.distributed as dist
from examples import accepts, share_of_ranks
from states import BATCH, LOSSES, loss_step

from counterpoint.objectives import registered


def value_and_gradients(example, **more):
    """The loss, and its gradients in the embeddings and a learnable temperature."""
    leaves = [x.detach().requires_grad_() for x in example.embeddings]
    temperature = []
    if accepts(example.objective, "temperature") and example.objective.ranks == "global":
        temperature = [torch.tensor(0.3, dtype=torch.float64, requires_grad=True)]
        more["temperature"] = temperature[0]
    loss = example(*leaves, **more)
    return loss.detach(), torch.autograd.grad(loss, [*leaves, *temperature], materialize_grads=True)


def results(rank, shares):
    """By name of the example, what this rank computes, or the error it ends with."""
    found = {}
    for objective in registered():
        more = {"across_ranks": True} if objective.ranks == "global" else {}
        for _, example in share_of_ranks(objective, rank, shares):
            try:
                found[str(example)] = value_and_gradients(example, **more)
            except Exception:
                found[str(example)] = traceback.format_exc()
                if objective.ranks == "global":
                    return found
    return found


def states(rank, world):
    """By name of a loss with a state, what three steps give, and the state they leave."""
    part = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
    found = {}
    for name, make in LOSSES.items():
        module = make(across_ranks=True).double()
        steps = [loss_step(module, step, part) for step in range(3)]
        found[name] = (steps, module.state_dict())
    return found


def work(rank, shares, folder):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/init",
        rank=rank,
        world_size=len(shares),
        timeout=timedelta(minutes=2),
    )
    found = results(rank, shares), states(rank, len(shares))
    torch.save(found, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def main(shares, folder):
    """Forks, for importing torch takes longer than the work."""
    context = multiprocessing.get_context("fork")
    places = range(len(shares))
    processes = [context.Process(target=work, args=(rank, shares, folder)) for rank in places]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(max(abs(process.exitcode) for process in processes))


if __name__ == "__main__":
    main([int(x) for x in sys.argv[1].split(",")], sys.argv[2])
