"""Losses, penalties and projections, and the recipe's losses by name, class weights and scales."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "BinaryFocalLoss": "focal",
        "BinaryHingeLoss": "hinge",
        "ClassLoss": "class_loss",
        "CrammerSingerLoss": "hinge",
        "FocalLoss": "focal",
        "LOSSES": "losses",
        "NTXentLoss": "contrastive",
        "PairMarginLoss": "contrastive",
        "SoftTargetKL": "kl",
        "StandardizedLoss": "standardized",
        "Wasserstein1D": "wasserstein",
        "WestonWatkinsLoss": "hinge",
        "build_loss": "losses",
        "elastic_net": "elastic_net",
        "gradient_penalty": "gradient_penalty",
        "jacobian_norm": "jacobian_norm",
        "onto_box": "projections",
        "onto_l1_ball": "projections",
        "onto_l2_ball": "projections",
        "onto_max_norm": "projections",
        "onto_simplex": "projections",
        "onto_spectral_ball": "projections",
        "orthogonality_penalty": "orthogonality",
        "per_sample": "weighted",
        "smoothed_labels": "kl",
        "soft_threshold": "elastic_net",
    },
)
