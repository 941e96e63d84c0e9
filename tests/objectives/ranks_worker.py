"""One of several processes: losses and gradients of its share of every example.

python ranks_worker.py RANK SHARES INIT_FILE OUT_FILE
"""

import sys
import warnings

import torch
import torch.distributed as dist
from examples import accepts, examples, swept


def main(rank, shares, init, out):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    world = len(shares)
    dist.init_process_group("gloo", init_method=f"file://{init}", rank=rank, world_size=world)
    start = sum(shares[:rank])
    results = {}
    for objective in swept():
        if not accepts(objective, "across_ranks"):
            continue
        for example in examples(objective, sum(shares)):
            mine = example.rows(slice(start, start + shares[rank]))
            leaves = [x.detach().requires_grad_() for x in mine.embeddings]
            more = {}
            if accepts(objective, "temperature"):
                more["temperature"] = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
            loss = mine(*leaves, across_ranks=True, **more)
            grads = torch.autograd.grad(loss, [*leaves, *more.values()])
            results[str(example)] = (loss.detach(), grads)
    torch.save(results, out)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(x) for x in sys.argv[2].split(",")], *sys.argv[3:])
