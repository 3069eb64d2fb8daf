"""A discount that tunes itself. Values of several discounts stand side by side on one torso (``networks.LinearFamily``); eta is a
place among them, of each environment, and a tuner moves it. One file a tuner, each readable alone:

| file | what moves eta |
|---|---|
| ``family_gradient.py`` | the meta-gradient through the family: what eta changes in what is chosen, times how that turned out |
| ``update_gradient.py`` | the meta-gradient through the update (Xu, van Hasselt and Silver 2018), carried along; one head |
| ``return_difference.py`` | the difference of returns of environments at either side of eta |
| ``bandit.py`` | a sliding-window bandit over the heads (Agent57) |
| ``schedule.py`` | a schedule by hand |
| ``random_walk.py`` | chance, as a control |

``tuner.py`` says what a tuner is and how large a step is, ``judge.py`` how well a decision turned out, ``context.py`` how it went
of late. Shape letters as in ``h_dqn/README.md``.
"""

from __future__ import annotations

from h_dqn.self_tuning.bandit import Bandit
from h_dqn.self_tuning.config import SelfTuningConfig, TunerName
from h_dqn.self_tuning.family_gradient import FamilyGradient
from h_dqn.self_tuning.random_walk import RandomWalk
from h_dqn.self_tuning.return_difference import ReturnDifference
from h_dqn.self_tuning.schedule import Schedule
from h_dqn.self_tuning.tuner import Choosing, Seen, Tuner
from h_dqn.self_tuning.update_gradient import UpdateGradient

__all__ = ["TUNERS", "Choosing", "Seen", "SelfTuningConfig", "Tuner"]

TUNERS: dict[TunerName, type[Tuner]] = {
    "family_gradient": FamilyGradient,
    "update_gradient": UpdateGradient,
    "return_difference": ReturnDifference,
    "bandit": Bandit,
    "schedule": Schedule,
    "random_walk": RandomWalk,
}
