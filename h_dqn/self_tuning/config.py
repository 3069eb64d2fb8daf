"""Settings of the discount that tunes itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from h_dqn.settings import ConfigError, Positive, Range, ShareBelowOne

TunerName = Literal["family_gradient", "update_gradient", "return_difference", "bandit", "schedule", "random_walk"]
NEAR, FAR, FARTHEST = 0.8, 0.98, 0.995  # the family by default: its first discount, and least and most of its last


@dataclass(frozen=True)
class SelfTuningConfig:
    """A discount that tunes itself."""

    tune_discount: bool = False
    """whether the discount tunes itself, from the given one on"""
    tuner: TunerName = "bandit"
    """tune_discount. who moves eta, its place in a family of discounts. family_gradient: the derivative by eta of what is chosen,
    times how well that turned out; update_gradient: the meta-gradient through the update (Xu et al. 2018), with one head;
    return_difference: returns of environments at either side of eta; bandit: the best of each head's newest episodes (Agent57);
    schedule: as discount_schedule says; random_walk: anywhere, as a control"""
    discounts: tuple[ShareBelowOne, ...] = ()
    """tune_discount. the family, a head of values for each, rising (none given: 0.8 and 0.98, or the given discount where that is
    larger)"""
    perturb: bool = True
    """family_gradient, update_gradient, random_walk. whether an eighth of the environments each act by a larger and a smaller
    eta"""
    reference_discount: Annotated[float, Range(0, 1)] = 0.99
    """family_gradient, update_gradient. gamma', by which it is judged how well something turned out; never changes"""
    meta_rate: Positive = 0.05
    """family_gradient, update_gradient, return_difference, random_walk. most that eta moves in a round of learning, in places of
    the family; with update_gradient in logarithms of the horizon, about"""
    context: Literal["none", "reward", "shuffled"] = "none"
    """family_gradient. what eta depends on: nothing, recent reward, or that of some other time, as a control"""
    discount_schedule: tuple[ShareBelowOne, ...] = ()
    """schedule. discounts by which it acts, one after another, for equal parts of the run"""
    tune_lambda: bool = False
    """update_gradient. whether lambda tunes itself, too"""

    @property
    def tuned(self) -> tuple[str, ...]:
        """Names of the meta-parameters that tune themselves."""
        return tuple(name for name, on in (("discount", self.tune_discount), ("td_lambda", self.tune_lambda)) if on)

    def family(self, discount: float) -> tuple[float, ...]:
        """The discounts of the heads, where learning begins at this one. Raises ConfigError for one that is not among them."""
        if self.tuner == "update_gradient":
            return (discount,)
        if self.tune_lambda:
            raise ConfigError("--tune-lambda needs --tuner update_gradient")
        family = self.discounts or (NEAR, min(max(FAR, discount), FARTHEST))
        if list(family) != sorted(set(family)):
            raise ConfigError(f"--discounts must rise, not be {' '.join(map(str, family))}")
        if not family[0] <= discount <= family[-1]:
            raise ConfigError(f"--tune-discount: --discount must begin from {family[0]} to {family[-1]}, not at {discount}")
        return family
