"""Every objective as a function."""

from counterpoint.objectives.bpr import bpr, embedding_penalty
from counterpoint.objectives.classdiffusion import masked_reconstruction, semantic_preservation
from counterpoint.objectives.clip import clip
from counterpoint.objectives.contrast import contrast, log_denominators
from counterpoint.objectives.cwcl import cwcl
from counterpoint.objectives.d2o import d2o
from counterpoint.objectives.dbl import absolute_boost, dbl, relative_boost, triplet_ranking
from counterpoint.objectives.dcl import dcl, dclw, von_mises_fisher_weights
from counterpoint.objectives.distillation import dkd, kd
from counterpoint.objectives.fopro import bootstrapped, fopro, prototype_logits
from counterpoint.objectives.gopro import gopro, prompt_consistency
from counterpoint.objectives.hard_contrastive import hard_contrastive, simple_contrastive
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.laf import laf_alignment, laf_autoencoder, laf_unlearning
from counterpoint.objectives.log_probabilities import sequence_log_probability
from counterpoint.objectives.marginal_entropy import marginal_entropy, tfup_t
from counterpoint.objectives.multiple_negatives import mnr, mnr_plus
from counterpoint.objectives.nd import nd
from counterpoint.objectives.nt_xent import nt_xent
from counterpoint.objectives.p2c import p2c, vote_consistency
from counterpoint.objectives.preference import cpo, dpo, dpop, ipo, kto, orpo, simpo, slic
from counterpoint.objectives.qcrd import discriminator_loss, qcrd
from counterpoint.objectives.routing import load_balance, specified_expert
from counterpoint.objectives.supcon import supcon

__all__ = [
    "absolute_boost",
    "bootstrapped",
    "bpr",
    "clip",
    "contrast",
    "cpo",
    "cwcl",
    "d2o",
    "dbl",
    "dcl",
    "dclw",
    "discriminator_loss",
    "dkd",
    "dpo",
    "dpop",
    "embedding_penalty",
    "fopro",
    "gopro",
    "hard_contrastive",
    "info_nce",
    "ipo",
    "kd",
    "kto",
    "laf_alignment",
    "laf_autoencoder",
    "laf_unlearning",
    "load_balance",
    "log_denominators",
    "marginal_entropy",
    "masked_reconstruction",
    "mnr",
    "mnr_plus",
    "nd",
    "nt_xent",
    "orpo",
    "p2c",
    "prompt_consistency",
    "prototype_logits",
    "qcrd",
    "relative_boost",
    "semantic_preservation",
    "sequence_log_probability",
    "simple_contrastive",
    "simpo",
    "slic",
    "specified_expert",
    "supcon",
    "tfup_t",
    "triplet_ranking",
    "von_mises_fisher_weights",
    "vote_consistency",
]
