"""Trains a method."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from counterpoint.data.dataset import Dataset
from counterpoint.errors import DataError, require
from counterpoint.files import check_writable
from counterpoint.methods.base import Method
from counterpoint.progress import OnProgress
from counterpoint.training.callbacks import Keeper, Recorder, Watch
from counterpoint.training.checkpoint import checkpoint_path, load_checkpoint
from counterpoint.training.history import History, load_history
from counterpoint.training.module import Loop
from counterpoint.training.order import Order
from counterpoint.training.settings import TrainSettings


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; the message says where the checkpoint is and how to go on."""


def train(
    method: Method,
    data: Dataset,
    settings: TrainSettings,
    out: Path,
    *,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> History:
    """Trains ``method`` in place on ``data.train``.

    Killed at any step and resumed with the same arguments, it ends with the same weights, bit by
    bit, as a run that was left alone (on the same machine, devices and threads).

    Args:
        method: what to train; left in evaluation mode.
        data: its ``train`` split is learnt from.
        settings: how.
        out: folder for ``metrics.csv``, ``history.json`` and ``checkpoints/``.
        resume: continues from the last checkpoint in ``out``; starts anew where there is none.
        on_progress: told how far the run is, and the monitor's warnings.

    Raises:
        DataError: unusable data, a loss that is not a number, an unreadable checkpoint.
        SettingError: settings that do not fit, or ``out`` cannot be written.
        Interrupted: Ctrl-C; a checkpoint was written first.
    """
    _check_data(method, data)
    out = Path(out)
    check_writable(out)
    settings = settings.resolved(data.modality)
    data = method.prepare(data, on_progress)
    order = Order(
        len(data.train), settings.batch_size, settings.seed, settings.drop_last, settings.devices
    )
    total = settings.total_steps(order.steps_per_epoch)
    saved = _saved(out) if resume else None
    step = 0 if saved is None else int(saved["step"])
    if step >= total:
        method.load_state_dict((saved or {})["method"])
        method.eval()
        return load_history(out)
    if saved is None:
        checkpoint_path(out).unlink(missing_ok=True)
    loop = Loop(method.train(), data, settings, order, total=total, saved=saved)
    recorder = Recorder(
        out, _history(saved), f"train {_name(method)}", on_progress, _loggers(settings, out)
    )
    keeper = Keeper(recorder, out)
    with _quiet():
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=_strategy(settings),
            precision=_PRECISION[settings.precision],
            gradient_clip_val=settings.clip,
            callbacks=[recorder, Watch(recorder), keeper],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=out,
        )
        trainer.fit(loop)
    method.eval()
    if keeper.interrupted:
        raise Interrupted(
            f"Interrupted at step {loop.step} of {total}. The checkpoint is "
            f"{checkpoint_path(out)}; the same call with resume=True goes on from there."
        )
    return load_history(out)


_PRECISION: dict[str, Any] = {
    "32": "32-true",
    "bf16-mixed": "bf16-mixed",
    "16-mixed": "16-mixed",
}


def _check_data(method: Method, data: Dataset) -> None:
    if data.modality not in method.modalities:
        raise DataError(
            f"{_name(method)} takes {' or '.join(method.modalities)}; {data.name} holds "
            f"{data.modality}."
        )
    if not method.needs_labels:
        return
    labels = data.train.labels
    if labels is None or not bool((labels >= 0).any()):
        raise DataError(f"{_name(method)} needs labels, and {data.name} has none.")


def _name(method: Method) -> str:
    return type(method).__module__.rsplit(".", 1)[-1].replace("_", "-")


def _saved(out: Path) -> dict[str, Any] | None:
    path = checkpoint_path(out)
    return load_checkpoint(path) if path.exists() else None


def _history(saved: dict[str, Any] | None) -> History:
    return History() if saved is None else History(**saved["history"])


def _strategy(settings: TrainSettings) -> str:
    if settings.strategy == "auto" and settings.devices > 1:
        return "ddp_spawn"
    return settings.strategy


def _loggers(settings: TrainSettings, out: Path) -> list[Any]:
    loggers: list[Any] = []
    if settings.tensorboard:
        require("tensorboard", "train")
        loggers.append(TensorBoardLogger(str(out), name="tensorboard", version=""))
    if settings.wandb:
        require("wandb", "train")
        loggers.append(WandbLogger(save_dir=str(out), name=out.name))
    return loggers


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning's notices off the terminal; its errors still come through."""
    chatty = {name: logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")}
    before = {name: logger.level for name, logger in chatty.items()}
    for logger in chatty.values():
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for name, logger in chatty.items():
            logger.setLevel(before[name])
