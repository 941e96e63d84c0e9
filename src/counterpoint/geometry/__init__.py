"""Measures of the shape of an embedding space: plain functions of embeddings and labels."""

from counterpoint.geometry.alignment import alignment
from counterpoint.geometry.effective_rank import effective_rank
from counterpoint.geometry.hardness import penalty_entropy, pull, push_of_hardest, relative_penalty
from counterpoint.geometry.local_separation import local_separation
from counterpoint.geometry.modality_gap import centroid_distance
from counterpoint.geometry.scores import score_histogram
from counterpoint.geometry.tolerance import tolerance
from counterpoint.geometry.transformed_scores import transformed_scores
from counterpoint.geometry.uniformity import uniformity

__all__ = [
    "alignment",
    "centroid_distance",
    "effective_rank",
    "local_separation",
    "penalty_entropy",
    "pull",
    "push_of_hardest",
    "relative_penalty",
    "score_histogram",
    "tolerance",
    "transformed_scores",
    "uniformity",
]
