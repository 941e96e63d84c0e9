"""Similarity to loss without the matrix of similarities; across ranks; gradient caching.

`softmax` is the softmax family, `row_function` any other function of whole rows, `terms` what the
engine is told about pairs.
"""

from counterpoint.engine.caching import cached_encode
from counterpoint.engine.ranks import gather_rows, is_distributed, rank, world_size
from counterpoint.engine.row_function import row_losses
from counterpoint.engine.rows import Rows, softmax_rows
from counterpoint.engine.terms import Terms
from counterpoint.engine.tiles import self_log_sums, two_way_log_sums

__all__ = [
    "Rows",
    "Terms",
    "cached_encode",
    "gather_rows",
    "is_distributed",
    "rank",
    "row_losses",
    "self_log_sums",
    "softmax_rows",
    "two_way_log_sums",
    "world_size",
]
