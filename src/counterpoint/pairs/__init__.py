"""Who attracts, who repels, how strongly: descriptions of pairs, and what keeps candidates.

Anything that maps index blocks ``i`` (b, 1) and ``j`` (1, m) to a block ``(b, m)`` describes pairs;
the classes here are ready ones.
"""

from counterpoint.pairs.description import Attraction
from counterpoint.pairs.diagonal import Diagonal, not_self
from counterpoint.pairs.duplicates import NotDuplicates
from counterpoint.pairs.groups import Groups
from counterpoint.pairs.label_distance import LabelDistance
from counterpoint.pairs.same_label import SameLabel
from counterpoint.pairs.second_space import SecondSpace
from counterpoint.pairs.sparse import SparsePairs

__all__ = [
    "Attraction",
    "Diagonal",
    "Groups",
    "LabelDistance",
    "NotDuplicates",
    "SameLabel",
    "SecondSpace",
    "SparsePairs",
    "not_self",
]
