"""Every objective as a function."""

from counterpoint.objectives.clip import clip
from counterpoint.objectives.contrast import contrast, log_denominators
from counterpoint.objectives.cwcl import cwcl
from counterpoint.objectives.dcl import dcl, dclw, von_mises_fisher_weights
from counterpoint.objectives.hard_contrastive import hard_contrastive, simple_contrastive
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.nt_xent import nt_xent
from counterpoint.objectives.supcon import supcon

__all__ = [
    "clip",
    "contrast",
    "cwcl",
    "dcl",
    "dclw",
    "hard_contrastive",
    "info_nce",
    "log_denominators",
    "nt_xent",
    "simple_contrastive",
    "supcon",
    "von_mises_fisher_weights",
]
