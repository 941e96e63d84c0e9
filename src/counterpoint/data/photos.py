"""Patches of the colour photographs that scikit-image, scikit-learn and matplotlib ship."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.items import ImageStack
from counterpoint.data.packages import package_folder
from counterpoint.data.pictures import to_tensor
from counterpoint.data.splits import check_share
from counterpoint.errors import DataError, require

PHOTOGRAPHS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "coffee": ("skimage", "data/coffee.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "galaxies": ("skimage", "data/hubble_deep_field.jpg"),
    "officer": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "tissue": ("skimage", "data/ihc.png"),
}
ACROSS = 14
"""Patches along the short side of a photograph."""

NATIVE = 32
FLAT = 2.0
"""A patch whose grey values deviate by less, of 255, shows nothing and is left out."""


def load(size: int | None = None, seed: int = 0, test_share: float = 0.2) -> Dataset:
    """Square patches that tile each photograph without overlap; class: the photograph.

    Patches without content (plain black margins) are left out.

    Args:
        size: height and width of a patch as it is handed out; 32 unless given.
        seed: which columns are held out.
        test_share: part held out: neighbouring columns of patches in each photograph.

    Raises:
        DataError: fewer than two photographs are installed.
    """
    check_share(test_share)
    side = size or NATIVE
    there = list(_photographs())
    if len(there) < 2:
        raise DataError(
            "photos needs scikit-image or scikit-learn: pip install 'counterpoint[data]'"
        )
    rng = np.random.default_rng(seed)
    pixels: list[Tensor] = []
    names: list[str] = []
    labels: list[int] = []
    held: list[bool] = []
    for label, (name, file) in enumerate(there):
        start = rng.random()
        for row, column, place, patch in _patches(file, side):
            pixels.append(patch)
            names.append(f"{name}, row {row}, column {column}")
            labels.append(label)
            held.append((place - start) % 1 < test_share)
    whole = Split(ImageStack(torch.stack(pixels)), names, torch.tensor(labels))
    mask = torch.tensor(held)
    return Dataset(
        name="photos",
        modality="images",
        train=whole.take((~mask).nonzero()[:, 0]),
        test=whole.take(mask.nonzero()[:, 0]),
        classes=tuple(name for name, _ in there),
        channels=3,
        size=side,
        mirror=True,
        held_out=f"neighbouring columns of patches, {test_share:.0%} of each photograph",
    )


def _photographs() -> Iterator[tuple[str, Path]]:
    for name, (package, file) in PHOTOGRAPHS.items():
        folder = package_folder(package)
        if folder is not None and (folder / file).is_file():
            yield name, folder / file


def _patches(file: Path, size: int) -> Iterator[tuple[int, int, float, Tensor]]:
    """Row, column, place of the column from 0 to 1, and pixels of each patch with content."""
    with require("PIL.Image", "image").open(file) as photograph:
        picture = photograph.convert("RGB")
    step = min(picture.size) // ACROSS
    columns = picture.width // step
    for row in range(picture.height // step):
        for column in range(columns):
            left, top = column * step, row * step
            patch = to_tensor(picture.crop((left, top, left + step, top + step)), size, 3)
            if patch.float().mean(0).std() >= FLAT:
                yield row, column, column / columns, patch
