"""Losses: for every objective a function in `functional` and a module of the same arguments."""

from counterpoint.objectives import functional
from counterpoint.objectives.clip import CLIP
from counterpoint.objectives.contrast import Contrast
from counterpoint.objectives.cwcl import CWCL
from counterpoint.objectives.dcl import DCL, DCLW
from counterpoint.objectives.hard_contrastive import HardContrastive, SimpleContrastive
from counterpoint.objectives.info_nce import InfoNCE
from counterpoint.objectives.nt_xent import NTXent
from counterpoint.objectives.registry import Objective, find, registered
from counterpoint.objectives.supcon import SupCon
from counterpoint.objectives.temperature import Temperature

__all__ = [
    "CLIP",
    "CWCL",
    "DCL",
    "DCLW",
    "Contrast",
    "HardContrastive",
    "InfoNCE",
    "NTXent",
    "Objective",
    "SimpleContrastive",
    "SupCon",
    "Temperature",
    "find",
    "functional",
    "registered",
]
