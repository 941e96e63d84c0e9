"""Every objective as a function."""

from counterpoint.objectives.dcl import dcl, dclw, von_mises_fisher_weights
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.nt_xent import nt_xent
from counterpoint.objectives.supcon import supcon

__all__ = ["dcl", "dclw", "info_nce", "nt_xent", "supcon", "von_mises_fisher_weights"]
