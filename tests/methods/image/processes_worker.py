"""Two processes that train one method after another together.

python processes_worker.py FOLDER

FOLDER/jobs.pt maps a name to ``(method, data, settings)``; rank R writes FOLDER/rankR.pt, which
maps the name to ``(losses, state)``, or to the error it ended with.
"""

import multiprocessing
import os
import sys
import traceback
import warnings
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from counterpoint.training import TrainSettings, train

RANKS = 2


def results(jobs, folder):
    found = {}
    for name, (method, data, settings) in jobs.items():
        chosen = TrainSettings.of(**settings, devices=RANKS, strategy="ddp", accelerator="cpu")
        try:
            losses = train(method, data, chosen, folder / name).loss
        except Exception:
            found[name] = traceback.format_exc()
            return found
        found[name] = losses, method.state_dict()
    return found


def work(rank, folder):
    """What torchrun would set, without its start for every method."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("RANK", "LOCAL_RANK"):
        os.environ[name] = str(rank)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        os.environ[name] = str(RANKS)
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0"}
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/init",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(minutes=3),
    )
    jobs = torch.load(folder / "jobs.pt", weights_only=False)
    torch.save(results(jobs, folder), folder / f"rank{rank}.pt")
    os._exit(0)


def main(folder):
    """Forks, for importing torch takes longer than the work."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(rank, folder)) for rank in range(RANKS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(max(abs(process.exitcode) for process in processes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
