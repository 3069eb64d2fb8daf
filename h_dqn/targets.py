"""Learning targets, as pure functions of tensors, with shape letters as in ``h_dqn/README.md``.

A *decision* is the choice of one option and what followed until it ended: k raw rewards and the observation at its end.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def skill_reward(rewards_BK: Tensor, lengths_B: Tensor, discount: float | Tensor) -> Tensor:
    """The discounted reward inside a decision, R = sum_{j<k} gamma^j r_j (Tessler et al. 2017, section "Skill Bellman equation").

    Args:
        rewards_BK: raw rewards; entries from ``lengths_B`` on are ignored.
        lengths_B: steps of each decision, 1..K.
    Returns: (B,)
    """
    j_K = torch.arange(rewards_BK.shape[1], device=rewards_BK.device)
    inside_BK = j_K < lengths_B[:, None]
    return torch.where(inside_BK, rewards_BK * discount**j_K, 0.0).sum(1)


def smdp_target(
    rewards_BK: Tensor,
    lengths_B: Tensor,
    bootstrap_B: Tensor,
    terminated_B: Tensor,
    discount: float | Tensor,
    exponent_B: Tensor | None = None,
) -> Tensor:
    """y = sum_{j<k} gamma^j r_j + gamma^k * bootstrap, without the bootstrap where the world terminated.

    The target of one decision of k steps (Tessler et al. 2017) and, as consecutive decisions are consecutive steps, of n of them
    (Sutton, Precup and Singh 1999, equation for the option model). A step limit does not terminate, so it keeps its bootstrap.
    ``exponent_B`` puts another power of the discount before the bootstrap: ones give the slip of Tessler et al.'s code.

    Returns: (B,)
    """
    tail_B = torch.where(terminated_B, 0.0, discount ** (lengths_B if exponent_B is None else exponent_B) * bootstrap_B)
    return skill_reward(rewards_BK, lengths_B, discount) + tail_B


def masked_max(q_BO: Tensor, available_BO: Tensor) -> Tensor:
    """max over the available options, (B,)."""
    return q_BO.masked_fill(~available_BO, -torch.inf).max(1).values


def double_q_bootstrap(q_online_BO: Tensor, q_target_BO: Tensor, available_BO: Tensor) -> Tensor:
    """Q_target(s, argmax_o Q_online(s, o)) over the available options (van Hasselt, Guez and Silver 2016, equation 4), (B,)."""
    best_B1 = q_online_BO.masked_fill(~available_BO, -torch.inf).argmax(1, keepdim=True)
    return q_target_BO.gather(1, best_B1).squeeze(1)


def option_bootstrap(q_BO: Tensor, best_B: Tensor, option_B: Tensor, continuation_B: Tensor) -> Tensor:
    """U(s', o) = (1 - beta) Q(s', o) + beta max Q(s', .): what an option is worth on arrival, if it may go on there.

    (Sutton, Precup and Singh 1998, intra-option value learning, equation 2.) ``continuation_B`` is 1 - beta: 0 where a decision was
    carried out to its end. Returns: (B,)
    """
    return continuation_B * q_BO.gather(1, option_B[:, None]).squeeze(1) + (1 - continuation_B) * best_B


def action_gap(q_BO: Tensor, option_B: Tensor, available_BO: Tensor, alpha: float) -> Tensor:
    """alpha * (Q(s, o) - max Q(s, .)), never above 0: what advantage learning adds to a target (Bellemare et al. 2016, equation 6).

    It lowers all options but the best, so that the greedy choice survives errors of Q much smaller than Q itself; with a small
    gap, an agent puts the best option off for ever, since one more turn costs almost nothing. Returns: (B,)
    """
    return alpha * (q_BO.gather(1, option_B[:, None]).squeeze(1) - masked_max(q_BO, available_BO))


def q_lambda(
    reward_D: Tensor, discount_D: Tensor, bootstrap_D: Tensor, terminated_D: Tensor, next_D: Tensor, lambda_: float | Tensor
) -> Tensor:
    """Q(lambda) over decisions (Gallici et al. 2024, section 3; here each step is a decision of any length).

        G_i = R_i + gamma^k_i * [(1 - lambda) * bootstrap_i + lambda * G_next(i)]

    with the plain bootstrap where no next decision is known, and none where the world terminated.

    Args:
        reward_D: discounted reward inside each decision (see :func:`skill_reward`).
        discount_D: gamma^k.
        bootstrap_D: max_o Q at the decision's end.
        next_D: index of the decision that follows in the same episode; -1 where there is none.
        lambda_: 0 (one decision) .. 1 (as far as the decisions reach).
    Returns: (D,)
    """
    discount_D = torch.where(terminated_D, 0.0, discount_D)
    goes_on_D = torch.where(next_D >= 0, lambda_, 0.0)
    # G = known + factor * G_next, over whole episodes: each round looks twice as far ahead as the one before.
    known_D, factor_D = reward_D + discount_D * (1 - goes_on_D) * bootstrap_D, discount_D * goes_on_D
    for _ in range(len(next_D).bit_length()):
        known_D, factor_D, next_D = known_D + factor_D * known_D[next_D], factor_D * factor_D[next_D], next_D[next_D]
    return known_D


def distil_kl(teacher_BA: Tensor, student_BA: Tensor, tau: float) -> Tensor:
    """KL(softmax(q_T / tau) || softmax(q_S)), mean over the batch (Rusu et al. 2016, equation 3)."""
    target_BA = (teacher_BA / tau).softmax(1)
    return nn.functional.kl_div(student_BA.log_softmax(1), target_BA, reduction="batchmean")


def distil_softmax(teacher_BA: Tensor, student_BA: Tensor, tau: float) -> Tensor:
    """|| softmax(q_T / tau) - q_S ||^2, mean over the batch (Tessler et al. 2017, "skill distillation")."""
    return ((teacher_BA / tau).softmax(1) - student_BA).square().sum(1).mean()


def distil_nll(teacher_BA: Tensor, student_BA: Tensor, tau: float) -> Tensor:
    """-log P_S(the teacher's best action), mean over the batch (Rusu et al. 2016, equation 1); tau plays no part."""
    return nn.functional.cross_entropy(student_BA, teacher_BA.argmax(1))


def distil_mse(teacher_BA: Tensor, student_BA: Tensor, tau: float) -> Tensor:
    """|| q_T - q_S ||^2, mean over the batch (Rusu et al. 2016, equation 2); tau plays no part."""
    return (teacher_BA - student_BA).square().sum(1).mean()


DISTILLATION_LOSSES = {"kl": distil_kl, "softmax": distil_softmax, "nll": distil_nll, "mse": distil_mse}
