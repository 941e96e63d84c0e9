"""Losses: for every objective a function in `functional` and a module of the same arguments."""

from counterpoint.objectives import functional
from counterpoint.objectives.bpr import BPR
from counterpoint.objectives.classdiffusion import MaskedReconstruction, SemanticPreservation
from counterpoint.objectives.clip import CLIP
from counterpoint.objectives.contrast import Contrast
from counterpoint.objectives.cwcl import CWCL
from counterpoint.objectives.d2o import D2O
from counterpoint.objectives.dbl import DBL, AbsoluteBoost, RelativeBoost, TripletRanking
from counterpoint.objectives.dcl import DCL, DCLW
from counterpoint.objectives.distillation import DKD, KD
from counterpoint.objectives.fopro import Bootstrapped, FoPro
from counterpoint.objectives.gopro import GOPro, PromptConsistency
from counterpoint.objectives.hard_contrastive import HardContrastive, SimpleContrastive
from counterpoint.objectives.info_nce import InfoNCE
from counterpoint.objectives.laf import LAFAlignment, LAFAutoencoder, LAFUnlearning
from counterpoint.objectives.marginal_entropy import TFUPT, MarginalEntropy
from counterpoint.objectives.multiple_negatives import MNR, MNRPlus
from counterpoint.objectives.nd import ND
from counterpoint.objectives.nt_xent import NTXent
from counterpoint.objectives.p2c import P2C
from counterpoint.objectives.preference import CPO, DPO, DPOP, IPO, KTO, ORPO, SimPO, SLiC
from counterpoint.objectives.qcrd import QCRD
from counterpoint.objectives.registry import Objective, find, registered
from counterpoint.objectives.supcon import SupCon
from counterpoint.objectives.temperature import Temperature

__all__ = [
    "BPR",
    "CLIP",
    "CPO",
    "CWCL",
    "D2O",
    "DBL",
    "DCL",
    "DCLW",
    "DKD",
    "DPO",
    "DPOP",
    "IPO",
    "KD",
    "KTO",
    "MNR",
    "ND",
    "ORPO",
    "P2C",
    "QCRD",
    "TFUPT",
    "AbsoluteBoost",
    "Bootstrapped",
    "Contrast",
    "FoPro",
    "GOPro",
    "HardContrastive",
    "InfoNCE",
    "LAFAlignment",
    "LAFAutoencoder",
    "LAFUnlearning",
    "MNRPlus",
    "MarginalEntropy",
    "MaskedReconstruction",
    "NTXent",
    "Objective",
    "PromptConsistency",
    "RelativeBoost",
    "SLiC",
    "SemanticPreservation",
    "SimPO",
    "SimpleContrastive",
    "SupCon",
    "Temperature",
    "TripletRanking",
    "find",
    "functional",
    "registered",
]
