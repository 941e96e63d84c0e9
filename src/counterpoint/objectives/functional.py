"""Every objective as a function."""

from counterpoint.objectives.amcl import (
    amcl,
    amcl_barlow,
    amcl_simsiam,
    temperature_penalty,
)
from counterpoint.objectives.ar2 import ar2_ranker, ar2_retriever
from counterpoint.objectives.bacon import (
    cross_view_distillation,
    distribution_regulariser,
    masked_supcon,
    soft_supcon,
)
from counterpoint.objectives.beclr import beclr
from counterpoint.objectives.bpr import bpr, embedding_penalty
from counterpoint.objectives.cacr import cacr, cacr_momentum, cacr_queue
from counterpoint.objectives.captioning import captioning
from counterpoint.objectives.classdiffusion import masked_reconstruction, semantic_preservation
from counterpoint.objectives.clip import clip
from counterpoint.objectives.clip_baselines import barlip, cl2l, siamlip, swalip, swalip_prototypes
from counterpoint.objectives.coca import coca
from counterpoint.objectives.coconut import coconut_alignment, nspt
from counterpoint.objectives.conr import conr
from counterpoint.objectives.contrast import contrast, log_denominators
from counterpoint.objectives.contrastive_gap import contrastive_gap
from counterpoint.objectives.cosmo import cosmo, cosmo_contrastive
from counterpoint.objectives.count_to_ten import count_to_ten, count_weights
from counterpoint.objectives.ctp_tft import ctp_tft, image_class_logits
from counterpoint.objectives.cwcl import cwcl
from counterpoint.objectives.d2o import d2o
from counterpoint.objectives.dbl import absolute_boost, dbl, relative_boost, triplet_ranking
from counterpoint.objectives.dcl import dcl, dclw, von_mises_fisher_weights
from counterpoint.objectives.debcse import debcse
from counterpoint.objectives.diffusionret import discrimination, list_generation, token_similarity
from counterpoint.objectives.distant_peer import distant_peer
from counterpoint.objectives.distillation import dkd, kd
from counterpoint.objectives.dito import region_clip
from counterpoint.objectives.feature_transformation import feature_transformation
from counterpoint.objectives.fopro import bootstrapped, fopro, prototype_logits
from counterpoint.objectives.gopro import gopro, prompt_consistency
from counterpoint.objectives.groco import groco
from counterpoint.objectives.hard_contrastive import hard_contrastive, simple_contrastive
from counterpoint.objectives.hydra import hydra
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.laf import laf_alignment, laf_autoencoder, laf_unlearning
from counterpoint.objectives.log_probabilities import sequence_log_probability
from counterpoint.objectives.look import look
from counterpoint.objectives.m2_encoder import grouped_clip
from counterpoint.objectives.m3col import m3co, m3col, soft_clip
from counterpoint.objectives.marginal_entropy import marginal_entropy, tfup_t
from counterpoint.objectives.meow import adameow, meow, meow_info, meow_proto
from counterpoint.objectives.metrix import (
    metrix,
    metrix_multi_similarity,
    metrix_proxy_anchor,
    pair_margin,
)
from counterpoint.objectives.mlcd import mlcd, multi_label
from counterpoint.objectives.mochi import mochi, mochi_in_batch
from counterpoint.objectives.multi_similarity import multi_similarity
from counterpoint.objectives.multiple_negatives import mnr, mnr_plus
from counterpoint.objectives.nd import nd
from counterpoint.objectives.nt_xent import nt_xent
from counterpoint.objectives.p2c import p2c, vote_consistency
from counterpoint.objectives.pamc import cluster_divergence, meta_node_contrast, n_contrast, pamc
from counterpoint.objectives.pcl_sr import pcl_sr
from counterpoint.objectives.pixpro import pixcontrast, pixpro
from counterpoint.objectives.pot import pot
from counterpoint.objectives.preference import cpo, dpo, dpop, ipo, kto, orpo, simpo, slic
from counterpoint.objectives.proxy_anchor import proxy_anchor
from counterpoint.objectives.qcrd import discriminator_loss, qcrd
from counterpoint.objectives.queue_contrast import contriever, contriever_in_batch, esimcse
from counterpoint.objectives.routing import load_balance, specified_expert
from counterpoint.objectives.sage import log_opinion, sage
from counterpoint.objectives.sbcl import sbcl, sbcl_queue
from counterpoint.objectives.sepclr import sepclr
from counterpoint.objectives.sogclr import sogclr, sogclr_bimodal
from counterpoint.objectives.star import star
from counterpoint.objectives.supcon import supcon
from counterpoint.objectives.supremix import supremix
from counterpoint.objectives.susana import icnn, proto_triplet
from counterpoint.objectives.whitenedcse import whitenedcse

__all__ = [
    "absolute_boost",
    "adameow",
    "amcl",
    "amcl_barlow",
    "amcl_simsiam",
    "ar2_ranker",
    "ar2_retriever",
    "barlip",
    "beclr",
    "bootstrapped",
    "bpr",
    "cacr",
    "cacr_momentum",
    "cacr_queue",
    "captioning",
    "cl2l",
    "clip",
    "cluster_divergence",
    "coca",
    "coconut_alignment",
    "conr",
    "contrast",
    "contrastive_gap",
    "contriever",
    "contriever_in_batch",
    "cosmo",
    "cosmo_contrastive",
    "count_to_ten",
    "count_weights",
    "cpo",
    "cross_view_distillation",
    "ctp_tft",
    "cwcl",
    "d2o",
    "dbl",
    "dcl",
    "dclw",
    "debcse",
    "discrimination",
    "discriminator_loss",
    "distant_peer",
    "distribution_regulariser",
    "dkd",
    "dpo",
    "dpop",
    "embedding_penalty",
    "esimcse",
    "feature_transformation",
    "fopro",
    "gopro",
    "groco",
    "grouped_clip",
    "hard_contrastive",
    "hydra",
    "icnn",
    "image_class_logits",
    "info_nce",
    "ipo",
    "kd",
    "kto",
    "laf_alignment",
    "laf_autoencoder",
    "laf_unlearning",
    "list_generation",
    "load_balance",
    "log_denominators",
    "log_opinion",
    "look",
    "m3co",
    "m3col",
    "marginal_entropy",
    "masked_reconstruction",
    "masked_supcon",
    "meow",
    "meow_info",
    "meow_proto",
    "meta_node_contrast",
    "metrix",
    "metrix_multi_similarity",
    "metrix_proxy_anchor",
    "mlcd",
    "mnr",
    "mnr_plus",
    "mochi",
    "mochi_in_batch",
    "multi_label",
    "multi_similarity",
    "n_contrast",
    "nd",
    "nspt",
    "nt_xent",
    "orpo",
    "p2c",
    "pair_margin",
    "pamc",
    "pcl_sr",
    "pixcontrast",
    "pixpro",
    "pot",
    "prompt_consistency",
    "proto_triplet",
    "prototype_logits",
    "proxy_anchor",
    "qcrd",
    "region_clip",
    "relative_boost",
    "sage",
    "sbcl",
    "sbcl_queue",
    "semantic_preservation",
    "sepclr",
    "sequence_log_probability",
    "siamlip",
    "simple_contrastive",
    "simpo",
    "slic",
    "soft_clip",
    "soft_supcon",
    "sogclr",
    "sogclr_bimodal",
    "specified_expert",
    "star",
    "supcon",
    "supremix",
    "swalip",
    "swalip_prototypes",
    "temperature_penalty",
    "tfup_t",
    "token_similarity",
    "triplet_ranking",
    "von_mises_fisher_weights",
    "vote_consistency",
    "whitenedcse",
]
