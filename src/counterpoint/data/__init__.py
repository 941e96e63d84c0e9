"""Real data in one shape: built-in sources, image folders, tables of texts."""

from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Dataset, Problem, Split
from counterpoint.data.loading import load
from counterpoint.data.sources import Source, builtin

__all__ = ["Batch", "Dataset", "Problem", "Source", "Split", "builtin", "load"]
