"""Random numbers of a step from its number alone, so that a resumed run draws what the undisturbed one draws."""

import torch

_MASK = (1 << 64) - 1


def generator_of_step(seed: int, step: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose numbers depend on (seed, step) and the kind of device; ``step`` < 2⁴⁰, 0 ≤ ``seed`` < 2²³.

    Torch's CPU generator reads the low 32 bits of a seed only, so both numbers are mixed into them (SplitMix64's
    finalizer: Steele, Lea & Flood 2014).
    """
    z = ((seed << 40) + step + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return torch.Generator(device).manual_seed((z ^ (z >> 31)) & 0xFFFFFFFF)
