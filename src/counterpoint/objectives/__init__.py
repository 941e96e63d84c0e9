"""Losses: for every objective a function in `functional` and a module of the same arguments."""

from counterpoint.objectives import functional
from counterpoint.objectives.dcl import DCL, DCLW
from counterpoint.objectives.info_nce import InfoNCE
from counterpoint.objectives.nt_xent import NTXent
from counterpoint.objectives.registry import Objective, find, registered
from counterpoint.objectives.supcon import SupCon
from counterpoint.objectives.temperature import Temperature

__all__ = [
    "DCL",
    "DCLW",
    "InfoNCE",
    "NTXent",
    "Objective",
    "SupCon",
    "Temperature",
    "find",
    "functional",
    "registered",
]
