"""Dropout and its kin: units, channels, weights; noise on weights and gradients; answers averaged at test time."""
