"""The default model without landmarks: where the answer is known to be linear, or memory is dear."""

from __future__ import annotations

from online_models.adaptive.arm_model import MAX_DIMS, ArmModel


class ArmLinear(ArmModel):
    """Bayesian linear regression per arm over online-scaled features; parameters as ``ArmModel``'s."""

    def __init__(
        self,
        optimism: float = 1.0,
        n_samples: int = 16,
        n_random: int = 0,
        max_dims: int = MAX_DIMS,
        max_arms: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__(optimism, n_samples, n_random, max_dims, max_arms, seed)
