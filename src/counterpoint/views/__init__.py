"""Random and plain views of samples, one at a time or a batch at once."""

from counterpoint.views.base import BatchView, ImageView
from counterpoint.views.image import Augment, Plain, augment, plain
from counterpoint.views.randomness import fresh_seeds, sample_seeds
from counterpoint.views.text import Crop, Delete, Repeat, Same, TextView

__all__ = [
    "Augment",
    "BatchView",
    "Crop",
    "Delete",
    "ImageView",
    "Plain",
    "Repeat",
    "Same",
    "TextView",
    "augment",
    "fresh_seeds",
    "plain",
    "sample_seeds",
]
