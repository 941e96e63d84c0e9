"""A method as Lightning sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.utils.data import DataLoader

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset
from counterpoint.engine.caching import cached_encode
from counterpoint.engine.ranks import aggregation
from counterpoint.errors import DataError, SettingError
from counterpoint.methods.base import Method
from counterpoint.training.loader import Batches, loader
from counterpoint.training.order import Order
from counterpoint.training.settings import TrainSettings

_END_OF_EPOCH = -1  # Lightning's word for leaving the epoch before the next step


class Loop(pl.LightningModule):
    """One step of a method.

    All that happens in a step follows from seed, step and state: learning rate and random
    numbers are functions of the step, so that a resumed run repeats the one it continues.

    Args:
        method: what is trained.
        data: what it is trained on.
        settings: resolved settings.
        order: which samples a step sees.
        total: steps of the whole run.
        saved: checkpoint to go on from; None starts at step 0.
    """

    def __init__(
        self,
        method: Method,
        data: Dataset,
        settings: TrainSettings,
        order: Order,
        *,
        total: int,
        saved: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.method, self.data, self.settings, self.order = method, data, settings, order
        self.total, self.saved = total, saved
        self.step = 0
        if saved is not None:
            self.step = int(saved["step"])
            method.load_state_dict(saved["method"])
        self.codes: Mapping[str, Tensor] | None = None
        self.parts: dict[str, Tensor] = {}
        self.figures: Mapping[str, float] = {}
        self.course: list[dict[str, Any]] = []
        self.lr = 0.0
        self.wants_codes = self.stop = False

    @property
    def progress(self) -> float:
        return self.step / self.total

    def configure_optimizers(self) -> Optimizer:
        return make_optimizer(self.method, self.settings)

    def train_dataloader(self) -> DataLoader[Batch]:
        method, data = self.method, self.data
        batches = Batches(
            data.train, method.views(data), method.encoder, self.order, self.global_rank
        )
        return loader(batches, range(self.step, self.total), self.settings.workers)

    def on_train_start(self) -> None:
        if self.saved is not None:
            self.trainer.optimizers[0].load_state_dict(self.saved["optimizer"])
            self.trainer.precision_plugin.load_state_dict(self.saved["precision"])
            self.saved = None

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        return batch if device.type == "cpu" else batch.to(device, non_blocking=True)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        if self.stop:
            return _END_OF_EPOCH
        self.lr = self.settings.learning_rate(self.step, self.total)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.lr
        if self.order.starts_epoch(self.step):
            self._seed(salt=1)
            self.method.begin_epoch(self.order.epoch(self.step), self.data)
        self._seed(salt=0)
        self.method.before_step(self.progress)
        return None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        try:
            with aggregation(self.settings.groups_of):
                codes = self._encode(batch)
                parts = self.method.contrast(codes, batch)
        except DataError as error:
            raise DataError(f"At step {self.step}, learning rate {self.lr:.3g}: {error}") from error
        loss = parts["loss"].detach()
        if loss.device.type == "cpu" and not loss.isfinite():
            raise not_finite(float(loss), self.step, self.lr)
        self.codes = codes if self.wants_codes else None
        self.parts = {name: value.detach() for name, value in parts.items()}
        return parts["loss"]

    def _encode(self, batch: Batch) -> Mapping[str, Tensor]:
        if self.settings.cached is None:
            return self.method.encode(batch)
        try:
            return cached_encode(self.method.encode, self.method, batch, self.settings.cached)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise SettingError(
                f"cached={self.settings.cached} gives single samples to batch normalisation, "
                f"which needs more; set cached to 2 or more, or batch_norm=False."
            ) from error

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.method.after_step(self.progress)
        self.step += 1

    def _seed(self, salt: int) -> None:
        number = (self.settings.seed * 1_000_003 + self.step) * 2 + salt
        torch.manual_seed(number * 4099 + self.global_rank)


def not_finite(loss: float, step: int, lr: float) -> DataError:
    """The error for a loss that is NaN or infinite."""
    return DataError(
        f"The loss became {loss} at step {step} (learning rate {lr:.3g}). Lower lr, set clip=1, "
        f"or use precision='32'."
    )


def make_optimizer(method: nn.Module, settings: TrainSettings) -> Optimizer:
    """The optimiser of the settings; weight decay spares biases, norms and other vectors."""
    trained = [p for p in method.parameters() if p.requires_grad]
    groups: Iterable[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    lr = settings.learning_rate(0, 1)
    if settings.optimizer == "sgd":
        return SGD(groups, lr=lr, momentum=settings.sgd_momentum)
    return AdamW(groups, lr=lr)
