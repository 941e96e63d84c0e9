import signal
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from counterpoint.training.checkpoint import load_checkpoint
from counterpoint.training.history import load_history

SCRIPT = Path(__file__).with_name("killed_run.py")


def start(out, how):
    command = [sys.executable, str(SCRIPT), str(out), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_at(process, step):
    """SIGKILL as soon as the run says that it has done ``step``."""
    for line in process.stdout:
        if line.strip() == f"step {step}":
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_killed_twice_and_resumed_ends_with_equal_weights(tmp_path):
    whole = start(tmp_path / "whole", "new")
    cut = start(tmp_path / "cut", "new")
    kill_at(cut, 10)
    done = load_checkpoint(tmp_path / "cut" / "checkpoints" / "last.pt")["step"]
    assert 8 <= done < 24
    cut = start(tmp_path / "cut", "resume")
    kill_at(cut, 15)
    cut = start(tmp_path / "cut", "resume")
    for process in (cut, whole):
        steps = process.communicate()[0].split()[1::2]
        assert process.returncode == 0
        assert steps[-1] == "24"

    states = [
        load_checkpoint(tmp_path / name / "checkpoints" / "last.pt") for name in ("whole", "cut")
    ]
    assert states[0]["method"].keys() == states[1]["method"].keys()
    for key, value in states[0]["method"].items():
        assert torch.equal(value, states[1]["method"][key]), key
    first, second = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut")
    )
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    histories = [load_history(tmp_path / name) for name in ("whole", "cut")]
    assert histories[0].loss == histories[1].loss
    assert len(histories[0].loss) == 24
