"""Pools of a user's interactions, and an item the user has not interacted with."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import DataError, SettingError


class Interactions:
    """Who has chosen what, for drawing pools and negatives.

    Args:
        users: int64 ``(E,)``, users of the training interactions.
        items: int64 ``(E,)``, their items; noisy ones included. Repeated pairs count once.
        user_count: users are 0 .. user_count - 1.
        item_count: items are 0 .. item_count - 1.

    Raises:
        DataError: lengths that differ, numbers out of range.

    Source: Zhang et al., "Personalized Denoising Implicit Feedback", WWW 2025, arXiv 2502.00348.
    """

    def __init__(self, users: Tensor, items: Tensor, user_count: int, item_count: int) -> None:
        if users.dim() != 1 or users.shape != items.shape:
            raise DataError(
                f"users and items must be (E,); got {tuple(users.shape)}, {tuple(items.shape)}."
            )
        for name, values, count in (("users", users, user_count), ("items", items, item_count)):
            if len(values) and not 0 <= int(values.min()) <= int(values.max()) < count:
                raise DataError(f"{name} must be in 0..{count - 1}.")
        self.item_count = item_count
        self.keys = torch.unique(users * item_count + items)
        self.counts = torch.bincount(self.keys // item_count, minlength=user_count)
        self.starts = self.counts.cumsum(0) - self.counts

    def pool(
        self, users: Tensor, size: int = 5, generator: torch.Generator | None = None
    ) -> Tensor:
        """``size`` items of each user, without repetition if the user has so many, else with.

        Args:
            users: int64 ``(B,)``.
            size: at least 1.
            generator: of the draw.

        Returns:
            int64 ``(B, size)``.

        Raises:
            DataError: a user without interactions; skip such users.
            SettingError: size below 1.
        """
        if size < 1:
            raise SettingError(f"size must be at least 1, got {size}.")
        counts = self.counts[users]
        empty = (counts == 0).nonzero().flatten()
        if len(empty):
            raise DataError(
                f"User {int(users[empty[0]])} has no interaction; leave such users out."
            )
        places = torch.empty(len(users), size, dtype=torch.int64)
        for row, count in enumerate(counts.tolist()):
            if count >= size:
                places[row] = torch.randperm(count, generator=generator)[:size]
            else:
                places[row] = torch.randint(count, (size,), generator=generator)
        found: Tensor = self.keys[self.starts[users][:, None] + places] % self.item_count
        return found

    def has(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether each pair is an interaction, bool of their broadcast shape."""
        key = users * self.item_count + items
        if len(self.keys) == 0:
            return torch.zeros_like(key, dtype=torch.bool)
        place = torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)
        found: Tensor = self.keys[place] == key
        return found

    def negative(self, users: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One item of each user drawn uniformly over those not chosen, int64 ``(B,)``.

        The r-th item not chosen is found directly, so that the draw ends for every user.

        Raises:
            DataError: a user who has chosen every item has no negative.
        """
        free = self.item_count - self.counts[users]
        full = (free == 0).nonzero().flatten()
        if len(full):
            raise DataError(f"User {int(users[full[0]])} has every item; there is no negative.")
        wanted = (torch.rand(len(users), generator=generator, dtype=torch.float64) * free).long()
        low, high = torch.zeros_like(wanted), torch.full_like(wanted, self.item_count - 1)
        while bool((low < high).any()):
            middle = (low + high) // 2
            key = users * self.item_count + middle
            chosen = torch.searchsorted(self.keys, key, right=True) - self.starts[users]
            enough = middle + 1 - chosen > wanted
            high, low = torch.where(enough, middle, high), torch.where(enough, low, middle + 1)
        return low
