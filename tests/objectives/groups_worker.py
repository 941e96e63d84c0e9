"""One of several processes in groups: losses and gradients of its share of every example.

python groups_worker.py RANK WORLD GROUPS_OF INIT_FILE OUT_FILE
"""

import sys
import warnings

import torch
import torch.distributed as dist
from examples import examples

from counterpoint.encoders.pair_temperature import PairTemperature
from counterpoint.engine.ranks import aggregation, peers
from counterpoint.errors import SettingError
from counterpoint.objectives import find
from counterpoint.objectives import functional as F

ROWS = 6
FAMILY = "amcl clip contrast cwcl dcl dclw hard_contrastive info_nce nt_xent supcon"


def calls():
    """Calls of the softmax family on the rows of one group."""
    return [example for name in FAMILY.split() for example in examples(find(name), ROWS)]


def of_group(x, group):
    """Other numbers for every group."""
    return x.detach() + 0.3 * group * torch.arange(x.shape[1]).to(x).sin()


def adaptive(z1, z2, hardest, across_ranks):
    """AMCL of two heads, with its temperatures learnt: loss, gradients of rows and of phi."""
    torch.manual_seed(0)
    phi = PairTemperature(5, hidden=4).double()
    heads = [torch.stack([z, z.flip(1)], 1) for z in (z1, z2)]
    loss = F.amcl(
        *heads, pair_temperature=phi, beta=0.3, hardest=hardest, across_ranks=across_ranks
    )
    return loss.detach(), torch.autograd.grad(loss, [z1, z2, *phi.parameters()])


def pairs():
    torch.manual_seed(0)
    return torch.randn(2, 2 * ROWS, 5, dtype=torch.float64).unbind(0)


def main(rank, world, size, init, out):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{init}", rank=rank, world_size=world)
    share, place, group = ROWS // size, rank % size, rank // size
    results = {}
    with aggregation(size) as own:
        assert own == peers()
        assert (own.first, own.size, own.place) == (rank - place, size, place)
        for example in calls():
            mine = example.rows(slice(place * share, (place + 1) * share))
            leaves = [of_group(x, group).requires_grad_() for x in mine.embeddings]
            loss = mine(*leaves, across_ranks=True)
            results[str(example)] = loss.detach(), torch.autograd.grad(loss, leaves)
    assert peers().size == world
    own = slice(rank * share, (rank + 1) * share)
    leaves = [z[own].requires_grad_() for z in pairs()]
    loss = F.grouped_clip(*leaves, 0.3, groups=world // size, across_ranks=True)
    results["grouped_clip"] = loss.detach(), torch.autograd.grad(loss, leaves)
    leaves = [z[own].requires_grad_() for z in pairs()]
    for hardest in (None, 2):
        with aggregation(size):
            results["adaptive", hardest] = adaptive(*leaves, hardest, True)
    torch.save((results, refusals()), out)
    dist.destroy_process_group()


def refusals():
    found = []
    for wrong in (
        lambda: aggregation(3).__enter__(),
        lambda: F.grouped_clip(*pairs(), groups=3, across_ranks=True),
    ):
        try:
            wrong()
        except SettingError as error:
            found.append(str(error))
    return found


if __name__ == "__main__":
    main(*(int(x) for x in sys.argv[1:4]), *sys.argv[4:])
