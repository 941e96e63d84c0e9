"""Losses: for every objective a function in `functional` and a module of the same arguments."""

from counterpoint.objectives import functional
from counterpoint.objectives.amcl import AMCL, AMCLBarlow, AMCLSimSiam
from counterpoint.objectives.ar2 import AR2Ranker, AR2Retriever
from counterpoint.objectives.bacon import (
    CrossViewDistillation,
    DistributionRegulariser,
    MaskedSupCon,
    SoftSupCon,
)
from counterpoint.objectives.beclr import BECLR
from counterpoint.objectives.bpr import BPR
from counterpoint.objectives.cacr import CACR, CACRMomentum, CACRQueue
from counterpoint.objectives.captioning import Captioning
from counterpoint.objectives.classdiffusion import MaskedReconstruction, SemanticPreservation
from counterpoint.objectives.clip import CLIP
from counterpoint.objectives.clip_baselines import CL2L, BarLIP, SiamLIP, SwALIP, SwALIPPrototypes
from counterpoint.objectives.coca import CoCa
from counterpoint.objectives.coconut import NSPT, CoconutAlignment
from counterpoint.objectives.conr import ConR
from counterpoint.objectives.contrast import Contrast
from counterpoint.objectives.contrastive_gap import ContrastiveGap
from counterpoint.objectives.cosmo import CosMo
from counterpoint.objectives.count_to_ten import CountToTen
from counterpoint.objectives.ctp_tft import CTPTFT
from counterpoint.objectives.cwcl import CWCL
from counterpoint.objectives.d2o import D2O
from counterpoint.objectives.dbl import DBL, AbsoluteBoost, RelativeBoost, TripletRanking
from counterpoint.objectives.dcl import DCL, DCLW
from counterpoint.objectives.debcse import DebCSE
from counterpoint.objectives.diffusionret import Discrimination, ListGeneration
from counterpoint.objectives.distant_peer import DistantPeer
from counterpoint.objectives.distillation import DKD, KD
from counterpoint.objectives.dito import RegionCLIP
from counterpoint.objectives.feature_transformation import FeatureTransformation
from counterpoint.objectives.fopro import Bootstrapped, FoPro
from counterpoint.objectives.gopro import GOPro, PromptConsistency
from counterpoint.objectives.groco import GroCo
from counterpoint.objectives.hard_contrastive import HardContrastive, SimpleContrastive
from counterpoint.objectives.hydra import Hydra
from counterpoint.objectives.info_nce import InfoNCE
from counterpoint.objectives.laf import LAFAlignment, LAFAutoencoder, LAFUnlearning
from counterpoint.objectives.look import LOOK
from counterpoint.objectives.m2_encoder import GroupedCLIP
from counterpoint.objectives.m3col import M3Co, SoftCLIP
from counterpoint.objectives.marginal_entropy import TFUPT, MarginalEntropy
from counterpoint.objectives.meow import MEOW, AdaMEOW, MEOWInfo, MEOWProto
from counterpoint.objectives.metrix import (
    Metrix,
    MetrixMultiSimilarity,
    MetrixProxyAnchor,
    PairMargin,
)
from counterpoint.objectives.mlcd import MLCD, MultiLabel
from counterpoint.objectives.mochi import MoCHi, MoCHiInBatch
from counterpoint.objectives.multi_similarity import MultiSimilarity
from counterpoint.objectives.multiple_negatives import MNR, MNRPlus
from counterpoint.objectives.nd import ND
from counterpoint.objectives.nt_xent import NTXent
from counterpoint.objectives.p2c import P2C
from counterpoint.objectives.pamc import MetaNodeContrast, NContrast, PamC
from counterpoint.objectives.pcl_sr import PCLSR
from counterpoint.objectives.pixpro import PixContrast, PixPro
from counterpoint.objectives.pot import POT
from counterpoint.objectives.preference import CPO, DPO, DPOP, IPO, KTO, ORPO, SimPO, SLiC
from counterpoint.objectives.proxy_anchor import ProxyAnchor
from counterpoint.objectives.qcrd import QCRD
from counterpoint.objectives.queue_contrast import Contriever, ContrieverInBatch, ESimCSE
from counterpoint.objectives.registry import Objective, find, registered
from counterpoint.objectives.sage import SAGE
from counterpoint.objectives.sbcl import SBCL, SBCLQueue
from counterpoint.objectives.sepclr import SepCLR
from counterpoint.objectives.sogclr import BimodalSogCLR, SogCLR
from counterpoint.objectives.star import STAR
from counterpoint.objectives.supcon import SupCon
from counterpoint.objectives.supremix import SupReMix
from counterpoint.objectives.susana import ICNN, ProtoTriplet
from counterpoint.objectives.temperature import Temperature
from counterpoint.objectives.whitenedcse import WhitenedCSE

__all__ = [
    "AMCL",
    "BECLR",
    "BPR",
    "CACR",
    "CL2L",
    "CLIP",
    "CPO",
    "CTPTFT",
    "CWCL",
    "D2O",
    "DBL",
    "DCL",
    "DCLW",
    "DKD",
    "DPO",
    "DPOP",
    "ICNN",
    "IPO",
    "KD",
    "KTO",
    "LOOK",
    "MEOW",
    "MLCD",
    "MNR",
    "ND",
    "NSPT",
    "ORPO",
    "P2C",
    "PCLSR",
    "POT",
    "QCRD",
    "SAGE",
    "SBCL",
    "STAR",
    "TFUPT",
    "AMCLBarlow",
    "AMCLSimSiam",
    "AR2Ranker",
    "AR2Retriever",
    "AbsoluteBoost",
    "AdaMEOW",
    "BarLIP",
    "BimodalSogCLR",
    "Bootstrapped",
    "CACRMomentum",
    "CACRQueue",
    "Captioning",
    "CoCa",
    "CoconutAlignment",
    "ConR",
    "Contrast",
    "ContrastiveGap",
    "Contriever",
    "ContrieverInBatch",
    "CosMo",
    "CountToTen",
    "CrossViewDistillation",
    "DebCSE",
    "Discrimination",
    "DistantPeer",
    "DistributionRegulariser",
    "ESimCSE",
    "FeatureTransformation",
    "FoPro",
    "GOPro",
    "GroCo",
    "GroupedCLIP",
    "HardContrastive",
    "Hydra",
    "InfoNCE",
    "LAFAlignment",
    "LAFAutoencoder",
    "LAFUnlearning",
    "ListGeneration",
    "M3Co",
    "MEOWInfo",
    "MEOWProto",
    "MNRPlus",
    "MarginalEntropy",
    "MaskedReconstruction",
    "MaskedSupCon",
    "MetaNodeContrast",
    "Metrix",
    "MetrixMultiSimilarity",
    "MetrixProxyAnchor",
    "MoCHi",
    "MoCHiInBatch",
    "MultiLabel",
    "MultiSimilarity",
    "NContrast",
    "NTXent",
    "Objective",
    "PairMargin",
    "PamC",
    "PixContrast",
    "PixPro",
    "PromptConsistency",
    "ProtoTriplet",
    "ProxyAnchor",
    "RegionCLIP",
    "RelativeBoost",
    "SBCLQueue",
    "SLiC",
    "SemanticPreservation",
    "SepCLR",
    "SiamLIP",
    "SimPO",
    "SimpleContrastive",
    "SoftCLIP",
    "SoftSupCon",
    "SogCLR",
    "SupCon",
    "SupReMix",
    "SwALIP",
    "SwALIPPrototypes",
    "Temperature",
    "TripletRanking",
    "WhitenedCSE",
    "find",
    "functional",
    "registered",
]
