"""What watches a run: metrics and progress, warnings, checkpoints and interrupts."""

from __future__ import annotations

import math
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor

from counterpoint.progress import OnProgress, Progress
from counterpoint.training.checkpoint import checkpoint_path, save_checkpoint
from counterpoint.training.history import History, MetricsFile, save_history
from counterpoint.training.memory import PeakMemory
from counterpoint.training.module import Loop, not_finite
from counterpoint.training.monitor import Monitor

_FEWEST_STEPS_BETWEEN_LOOKS = 25


class Recorder(pl.Callback):
    """Writes metrics, stops at a loss that is not a number, and leaves the history.

    Args:
        out: folder of the run; only rank 0 writes there.
        before: history of the steps that were done before this start.
        stage: what progress reports call the run.
        on_progress: told how far the run is.
        loggers: further Lightning loggers.
    """

    def __init__(
        self,
        out: Path,
        before: History,
        stage: str,
        on_progress: OnProgress | None,
        loggers: list[Any],
    ) -> None:
        self.out, self.before, self.stage = out, before, stage
        self.on_progress, self.loggers = on_progress, loggers
        self.warnings = list(before.warnings)
        self._waiting: list[tuple[int, float, dict[str, Tensor]]] = []

    def __getstate__(self) -> dict[str, Any]:
        """What a spawned process gets: it cannot reach the watcher of this one."""
        return {**self.__dict__, "on_progress": None}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop = cast(Loop, pl_module)
        if trainer.is_global_zero:
            self._file = MetricsFile(self.out / "metrics.csv", loop.step)
        self._memory = PeakMemory(loop.device)
        self._memory.start()
        self._started = time.perf_counter()
        self.report(loop, "")

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loop = cast(Loop, pl_module)
        self._waiting.append((loop.step, loop.lr, loop.parts))
        if loop.step % loop.settings.log_every == 0 or loop.step == loop.total:
            self.flush(trainer, loop)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop = cast(Loop, pl_module)
        self.flush(trainer, loop)
        if trainer.is_global_zero:
            save_history(self.out, self.history(loop))
            for logger in self.loggers:
                logger.finalize("success")
        trainer.strategy.barrier()  # every process reads the history

    def flush(self, trainer: pl.Trainer, loop: Loop) -> None:
        """Writes the steps that wait to be written, after checking their losses.

        Raises:
            DataError: a loss is not a finite number.
        """
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        names = list(waiting[0][2])
        table = torch.stack([torch.stack([p[n].float() for n in names]) for _, _, p in waiting])
        if trainer.world_size > 1:
            table = cast(Tensor, trainer.strategy.reduce(table, reduce_op="mean"))
        rows = [
            {"step": step - 1, "epoch": loop.order.epoch(step - 1), "lr": lr}
            | dict(zip(names, values, strict=True))
            for (step, lr, _), values in zip(waiting, table.tolist(), strict=True)
        ]
        for row in rows:
            if not math.isfinite(row["loss"]):
                raise not_finite(row["loss"], row["step"], row["lr"])
        if trainer.is_global_zero:
            self._file.append(rows)
            for logger in self.loggers:
                last = {k: v for k, v in rows[-1].items() if k != "step"}
                logger.log_metrics(last, step=rows[-1]["step"])
        self.report(loop, f"loss {rows[-1]['loss']:.3f}")

    def report(self, loop: Loop, note: str) -> None:
        """Tells whoever watches."""
        if self.on_progress is not None and loop.global_rank == 0:
            self.on_progress(Progress(self.stage, loop.step, loop.total, note))

    def history(self, loop: Loop) -> History:
        """The history up to now, without the curves."""
        seconds = self.before.seconds + time.perf_counter() - self._started
        samples = loop.step * loop.order.size
        return History(
            steps=loop.step,
            epochs=loop.step / loop.order.steps_per_epoch,
            seconds=seconds,
            samples_per_second=samples / seconds,
            peak_mb=max(self.before.peak_mb, self._memory.megabytes()),
            warnings=list(self.warnings),
            monitor=dict(loop.figures),
            course=[*self.before.course, *loop.course],
        )


class Watch(pl.Callback):
    """Lets the monitor look at most twenty times in a run, and at its last step.

    Args:
        recorder: takes the warnings.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop = cast(Loop, pl_module)
        temperature = getattr(loop.method, "temperature", None)
        self.monitor = Monitor(temperature if isinstance(temperature, float) else None)
        self.every = max(_FEWEST_STEPS_BETWEEN_LOOKS, loop.total // 20)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        loop = cast(Loop, pl_module)
        done = loop.step + 1
        due = done % self.every == 0 or done == loop.total
        loop.wants_codes = trainer.is_global_zero and due

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loop = cast(Loop, pl_module)
        if loop.codes is None or not loop.parts["loss"].isfinite():
            return
        for warning in self.monitor.look(loop.codes, loop.step - 1, loop.progress):
            if warning not in self.recorder.warnings:
                self.recorder.warnings.append(warning)
                self.recorder.report(loop, warning)
        loop.codes, loop.figures = None, self.monitor.figures
        loop.course = self.monitor.course


class Keeper(pl.Callback):
    """Keeps checkpoints, and turns Ctrl-C into a checkpoint at the end of the running step.

    Args:
        recorder: writes its metrics before each checkpoint.
        out: folder of the run.
    """

    def __init__(self, recorder: Recorder, out: Path) -> None:
        self.recorder, self.path = recorder, checkpoint_path(out)
        self.interrupted = False
        self._previous: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop = cast(Loop, pl_module)
        if trainer.world_size > 1 or threading.current_thread() is not threading.main_thread():
            return

        def stop(signum: int, frame: FrameType | None) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = loop.stop = True

        self._previous = signal.signal(signal.SIGINT, stop)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loop = cast(Loop, pl_module)
        due = loop.step % loop.settings.checkpoint_every == 0
        if due or loop.stop or loop.step == loop.total:
            self.save(trainer, loop)

    def save(self, trainer: pl.Trainer, loop: Loop) -> None:
        """Writes a checkpoint of the state after the last step."""
        self.recorder.flush(trainer, loop)
        if trainer.is_global_zero:
            state = {
                "step": loop.step,
                "method": loop.method.state_dict(),
                "optimizer": trainer.optimizers[0].state_dict(),
                "precision": trainer.precision_plugin.state_dict(),
                "history": self.recorder.history(loop).summary(),
            }
            save_checkpoint(self.path, state)
        trainer.strategy.barrier()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
