"""Characters in many typefaces, rendered from fonts that installed packages carry."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.items import ImageStack
from counterpoint.data.packages import package_folder
from counterpoint.data.splits import by_group
from counterpoint.errors import DataError, require

CHARACTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
NATIVE = 32
UNASSIGNED = "\U0010fffe"
"""A code point that no font may draw: what comes out for it is the box for missing glyphs."""

MATPLOTLIB_FAMILIES = {
    "DejaVu": "DejaVuSans|DejaVuSansMono|DejaVuSerif",
    "STIX": "STIXGeneral",
    "Computer Modern": "cmr10|cmb10|cmss10|cmti10|cmtt10",
}
"""Text typefaces among matplotlib's fonts; the others hold symbols."""

CAP_HEIGHT = 0.6
"""Height of a capital, as a share of the image."""

Picture = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Face:
    """One typeface cut: a font file, and a position on its axes where it is variable.

    Attributes:
        family: name of the typeface.
        file: font file.
        axes: value of each variation axis; empty for a plain font.
        weight: 100 (thin) to 900 (black); 400 is regular.
        italic: whether it is slanted.
    """

    family: str
    file: Path
    axes: tuple[float, ...]
    weight: int
    italic: bool

    @property
    def name(self) -> str:
        tail = "".join(f" {value:g}" for value in self.axes) or f" {self.weight}"
        return f"{self.file.stem.split('[')[0]}{tail}"


def load(size: int | None = None, seed: int = 0, test_share: float = 0.2) -> Dataset:
    """Letters and digits in every text typeface of matplotlib and the ``fontpkg-*`` packages.

    One channel, white on black; all characters of a face share scale and baseline, so that
    ``c`` and ``C`` differ. ``extras``: ``domain`` the typeface, ``target`` the stroke thickness of
    the face as a share of the image, ``slant`` whether the face is italic (0 or 1).

    Args:
        size: height and width; 32 unless given.
        seed: seed of the choice of held-out typefaces.
        test_share: largest part held out; whole typefaces, with all their weights.

    Raises:
        DataError: fewer than two typefaces are installed.
    """
    side = size or NATIVE
    found = faces()
    families = sorted({face.family for face in found})
    if len(families) < 2:
        raise DataError(
            f"glyphs needs at least two typefaces and found {len(families)}. "
            "Install some with: pip install 'counterpoint[data]'"
        )
    pixels, owner, character = render(side)
    cut = [found[i] for i in owner.tolist()]
    whole = Split(
        ImageStack(pixels),
        [
            f"{CHARACTERS[c]} in {face.name}"
            for c, face in zip(character.tolist(), cut, strict=True)
        ],
        character,
        {
            "domain": torch.tensor([families.index(face.family) for face in cut]),
            "target": _thickness(pixels, owner),
            "slant": torch.tensor([float(face.italic) for face in cut]),
        },
    )
    train, test = by_group([face.family for face in cut], test_share, seed)
    unseen = sorted({cut[i].family for i in test.tolist()})
    return Dataset(
        name="glyphs",
        modality="images",
        train=whole.take(train),
        test=whole.take(test),
        classes=tuple(CHARACTERS),
        channels=1,
        size=side,
        held_out=f"typefaces that training never sees: {', '.join(unseen)}",
    )


@lru_cache(maxsize=1)
def faces() -> tuple[Face, ...]:
    """Every face of every installed text typeface, in a fixed order."""
    return tuple(face for described in _files() for face in _cuts(*described))


@lru_cache(maxsize=2)
def render(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draws all characters of all `faces`, leaving out what a face does not really have.

    Returns:
        Pixels uint8 ``(N, 1, size, size)``, and for each the position of its face in `faces` and
        of its character in `CHARACTERS`, int64 ``(N,)``.
    """
    pixels: list[Picture] = []
    owner: list[int] = []
    character: list[int] = []
    for number, face in enumerate(faces()):
        drawn = _draw(face, size)
        pixels.extend(drawn.values())
        character.extend(drawn)
        owner.extend([number] * len(drawn))
    stacked = torch.from_numpy(np.stack(pixels))[:, None]
    return stacked, torch.tensor(owner), torch.tensor(character)


def _files() -> Iterator[tuple[str, Path, int, bool]]:
    yield from _packaged()
    folder = package_folder("matplotlib")
    if folder is None:
        return
    files = sorted((folder / "mpl-data" / "fonts" / "ttf").glob("*.ttf"))
    for family, stems in MATPLOTLIB_FAMILIES.items():
        pattern = re.compile(rf"({stems})(-?(Bold|Bol|Italic|Ita|Oblique))*")
        for file in files:
            if pattern.fullmatch(file.stem):
                bold = re.search("Bol|cmb", file.stem) is not None
                italic = re.search("Ita|Obl|cmti", file.stem) is not None
                yield family, file, 700 if bold else 400, italic


def _packaged() -> Iterator[tuple[str, Path, int, bool]]:
    for point in sorted(entry_points(group="fontpkg.family"), key=lambda point: point.name):
        root = package_folder(point.value)
        if root is None:
            continue
        described = json.loads((root / "metadata.json").read_text(encoding="utf-8"))
        for file in sorted(described["files"], key=lambda file: str(file["path"])):
            italic = file["style"] == "italic"
            yield described["family"], root / file["path"], file["weight"] or 400, italic


def _cuts(family: str, file: Path, weight: int, italic: bool) -> Iterator[Face]:
    try:
        axes = _font(file, 16).get_variation_axes()
    except OSError:
        yield Face(family, file, (), weight, italic)
        return
    for position in product(*(_stops(axis) for axis in axes)):
        at = dict(zip((axis["name"] for axis in axes), position, strict=True))
        yield Face(family, file, position, int(at.get(b"Weight", weight)), italic)


def _stops(axis: dict[str, Any]) -> Sequence[float]:
    low, high = axis["minimum"], axis["maximum"]
    return range(low, high + 1, 100) if axis["name"] == b"Weight" else (low, high)


def _font(file: Path, size: float, axes: Sequence[float] = ()) -> Any:
    module = require("PIL.ImageFont", "image")
    font = module.truetype(str(file), size, layout_engine=module.Layout.BASIC)
    if axes:
        font.set_variation_by_axes(list(axes))
    return font


def _draw(face: Face, size: int) -> dict[int, Picture]:
    font = _fitted(face, size)
    boxes = [font.getbbox(c, anchor="ls") for c in (*CHARACTERS, UNASSIGNED)]
    top, bottom = min(box[1] for box in boxes[:-1]), max(box[3] for box in boxes[:-1])
    baseline = round((size - (bottom - top)) / 2 - top)
    *drawn, missing = (
        _picture(font, character, ((size - (box[2] - box[0])) / 2 - box[0], baseline), size)
        for character, box in zip((*CHARACTERS, UNASSIGNED), boxes, strict=True)
    )
    lower = not _small_capitals(font)
    return {
        number: picture
        for number, picture in enumerate(drawn)
        if picture.any()
        and not np.array_equal(picture, missing)
        and (lower or not CHARACTERS[number].islower())
    }


def _fitted(face: Face, size: int) -> Any:
    """The face at the size where capitals have the common height and everything fits."""
    probe = _font(face.file, 200, face.axes)
    boxes = [probe.getbbox(c, anchor="ls") for c in CHARACTERS]
    cap = -probe.getbbox("H", anchor="ls")[1]
    tallest = max(box[3] for box in boxes) - min(box[1] for box in boxes)
    widest = max(box[2] - box[0] for box in boxes)
    scale = min(CAP_HEIGHT * size / cap, (size - 2) / tallest, (size - 2) / widest)
    return _font(face.file, 200 * scale, face.axes)


def _picture(font: Any, character: str, at: tuple[float, int], size: int) -> Picture:
    """A character drawn with its baseline and origin at a point."""
    image = require("PIL.Image", "image").new("L", (size, size))
    draw = require("PIL.ImageDraw", "image").Draw(image)
    draw.text(at, character, font=font, fill=255, anchor="ls")
    return np.asarray(image)


def _small_capitals(font: Any) -> bool:
    """Whether lower case is drawn as capitals: "a", "e", "g", "r" look like "A", "E", "G", "R"."""
    return all(_alike(font, low, low.upper()) > 0.7 for low in "aegr")


def _alike(font: Any, one: str, other: str) -> float:
    """Correlation of two characters stretched over the same square."""
    a, b = (_stretched(font, character) for character in (one, other))
    return float(np.corrcoef(a, b)[0, 1])


def _stretched(font: Any, character: str) -> Picture:
    image = require("PIL.Image", "image").fromarray(_picture(font, character, (40, 80), 128))
    return np.asarray(image.crop(image.getbbox()).resize((24, 24))).ravel()


def _thickness(pixels: Tensor, owner: Tensor) -> Tensor:
    """Stroke thickness of each picture's face: 2 × area / outline, averaged over characters."""
    ink = pixels[:, 0].float() / 255
    around = torch.nn.functional.pad(ink, (1, 1, 1, 1))
    down = (around[:, 2:, 1:-1] - around[:, :-2, 1:-1]) / 2
    across = (around[:, 1:-1, 2:] - around[:, 1:-1, :-2]) / 2
    outline = torch.hypot(down, across).sum((1, 2))
    each = 2 * ink.sum((1, 2)) / outline / pixels.shape[-1]
    sums = torch.zeros(int(owner.max()) + 1).index_add(0, owner, each)
    return (sums / torch.bincount(owner))[owner]
