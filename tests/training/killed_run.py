"""Trains MoCo on digits; run as ``python killed_run.py OUT resume|new``. Tells every step."""

import sys

import torch

from counterpoint.apps.fit import fit


def say(event):
    print("step", int(event.done), flush=True)  # noqa: T201


if __name__ == "__main__":
    torch.set_num_threads(1)
    fit(
        "moco",
        "digits",
        out=sys.argv[1],
        resume=sys.argv[2] == "resume",
        steps=24,
        batch_size=256,
        queue=700,
        checkpoint_every=4,
        log_every=1,
        on_progress=say,
    )
