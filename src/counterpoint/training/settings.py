"""How a method is trained, apart from the method itself."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from counterpoint.errors import SettingError, unknown_name

DEFAULT_EPOCHS = 20
_LEARNING_RATES = {
    ("images", "adamw"): 1e-3,
    ("images", "sgd"): 0.06,
    ("text", "adamw"): 3e-5,
    ("text", "sgd"): 1e-2,
}
_WEIGHT_DECAY = {"adamw": 1e-2, "sgd": 5e-4}


class TrainSettings(BaseModel):
    """Settings of `counterpoint.training.train`; an unknown name is refused.

    Attributes:
        epochs: passes over the training data; 20 if neither this nor ``steps`` is given.
        steps: optimiser steps, instead of ``epochs``.
        batch_size: samples a step, over all devices together.
        optimizer: ``"adamw"`` or ``"sgd"``.
        lr: highest learning rate; None takes 1e-3 (images) or 3e-5 (text) for AdamW, 0.06 or
            1e-2 for SGD.
        sgd_momentum: of SGD.
        weight_decay: on weights of two and more dimensions only; None takes 1e-2 for AdamW and
            5e-4 for SGD.
        schedule: ``"cosine"`` falls to zero, ``"constant"`` stays.
        warmup: share of the steps over which the learning rate rises from zero, in [0, 1).
        clip: largest gradient norm; None does not clip.
        precision: ``"32"``, ``"bf16-mixed"`` or ``"16-mixed"``.
        accelerator: Lightning's ``"auto"``, ``"cpu"``, ``"gpu"``, ...
        devices: processes, one a device.
        groups_of: processes among which candidates travel, so many in a group, see
            `counterpoint.engine.ranks.aggregation`; divides ``devices``. None for all of them, in
            a ring.
        strategy: Lightning's strategy; ``"auto"`` is ``"ddp_spawn"`` for several devices.
        seed: decides order, views and every random choice of a step.
        cached: encodes in chunks of so many samples with gradient caching, which bounds memory
            by the chunk and leaves the loss that of the whole batch; None encodes all at once.
        workers: processes that make views; 0 makes them in the training process.
        drop_last: leaves out the rest of an epoch that does not fill a batch.
        checkpoint_every: steps between checkpoints.
        log_every: steps between writes of the metrics, checks of the loss and progress reports.
        tensorboard: also log for TensorBoard.
        wandb: also log to Weights & Biases.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    batch_size: int = Field(256, ge=2)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float | None = Field(None, gt=0)
    sgd_momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float | None = Field(None, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1)
    clip: float | None = Field(None, gt=0)
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    accelerator: str = "auto"
    devices: int = Field(1, ge=1)
    groups_of: int | None = Field(None, ge=1)
    strategy: str = "auto"
    seed: int = Field(0, ge=0)
    cached: int | None = Field(None, ge=1)
    workers: int = Field(0, ge=0)
    drop_last: bool = True
    checkpoint_every: int = Field(200, ge=1)
    log_every: int = Field(10, ge=1)
    tensorboard: bool = False
    wandb: bool = False

    @classmethod
    def of(cls, **values: Any) -> TrainSettings:
        """Settings from names and values.

        Raises:
            SettingError: a wrong name, type or range; the message lists the right ones.
        """
        for name in values:
            if name not in cls.model_fields:
                raise unknown_name("training setting", name, cls.model_fields)
        try:
            settings = cls(**values)
        except ValidationError as error:
            problems = [f"{e['loc'][0]}={e['input']!r}: {e['msg']}" for e in error.errors()]
            raise SettingError(f"Wrong training setting: {'; '.join(problems)}.") from error
        if settings.epochs is not None and settings.steps is not None:
            raise SettingError("Give epochs or steps, not both.")
        if settings.groups_of is not None and settings.devices % settings.groups_of:
            raise SettingError(
                f"groups_of={settings.groups_of} must divide devices={settings.devices}."
            )
        return settings

    def total_steps(self, steps_per_epoch: int) -> int:
        """Optimiser steps of the whole run."""
        return self.steps or (self.epochs or DEFAULT_EPOCHS) * steps_per_epoch

    def resolved(self, modality: str) -> TrainSettings:
        """The same settings with learning rate and weight decay filled in."""
        lr = self.lr if self.lr is not None else _LEARNING_RATES[modality, self.optimizer]
        decay = self.weight_decay
        decay = decay if decay is not None else _WEIGHT_DECAY[self.optimizer]
        epochs = self.epochs if self.steps else self.epochs or DEFAULT_EPOCHS
        return self.model_copy(update={"lr": lr, "weight_decay": decay, "epochs": epochs})

    def learning_rate(self, step: int, total: int) -> float:
        """Learning rate of a step, counted from 0; a function of the step alone.

        Args:
            step: number of the step.
            total: steps of the whole run.
        """
        if self.lr is None:
            raise SettingError("Call `resolved` before asking for the learning rate.")
        warmup = round(self.warmup * total)
        if step < warmup:
            return self.lr * (step + 1) / (warmup + 1)
        if self.schedule == "constant":
            return self.lr
        share = (step - warmup) / max(1, total - warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * share))
