"""The recurrent core: gated recurrent units (Cho et al. 2014), which remember what was seen before in the episode.

    r = sigmoid(W_r x + b_r + U_r h + c_r)           how much of the state the new one sees
    z = sigmoid(W_z x + b_z + U_z h + c_z)           how much of the state is kept
    n = tanh(W_n x + b_n + r * (U_n h + c_n))        what is new
    h' = (1 - z) * n + z * h

What x gives to the gates is worked out for all steps of a sequence at once; only what depends on h is in the loop over time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class GRU(nn.GRUCell):
    """Features (B, F) and a state (B, C) -> the next state (B, C), which is the output too.

    As ``torch.nn.GRUCell``, but with orthogonal weights, and for sequences in which episodes begin.

    Args:
        features: F.
        units: C.
    """

    def __init__(self, features: int, units: int) -> None:
        super().__init__(features, units)
        self.units = units
        for weights in (self.weight_ih, self.weight_hh):
            nn.init.orthogonal_(weights)
        for bias in (self.bias_ih, self.bias_hh):
            nn.init.zeros_(bias)

    def unroll(self, x_LBF: Tensor, begins_LB: Tensor, state_BC: Tensor) -> Tensor:
        """The states (L, B, C) after each of L steps of B sequences.

        Args:
            x_LBF: features of each step.
            begins_LB: bool: where an episode begins, so that the state before it is forgotten.
            state_BC: with which the first step is read.
        """
        gates_LBG = nn.functional.linear(x_LBF, self.weight_ih, self.bias_ih)
        keep_LB1 = (~begins_LB).to(gates_LBG.dtype).unsqueeze(2)
        states_LBC: Tensor = _Recurrence.apply(gates_LBG, self.weight_hh, self.bias_hh, state_BC, keep_LB1)  # type: ignore[no-untyped-call]
        return states_LBC

    @torch.no_grad()
    def cut_from(self, source: GRU) -> None:
        """Begin as ``source``, of as many features as this core reads; nothing happens where units differ or it reads more."""
        if source.units == self.units and source.input_size >= self.input_size:
            self.load_state_dict({**source.state_dict(), "weight_ih": source.weight_ih[:, : self.input_size]})


class _Recurrence(torch.autograd.Function):
    """The loop over time. Its backward pass is written by hand: autograd's, op by op, takes several times as long.

    G = 3 C: the gates r, z and n, in torch's order.
    """

    @staticmethod
    def forward(ctx: Any, gates_LBG: Tensor, weight_GC: Tensor, bias_G: Tensor, state_BC: Tensor, keep_LB1: Tensor) -> Tensor:
        length, batch, units = len(gates_LBG), *state_BC.shape
        before, new, hidden_new, states = (gates_LBG.new_empty(length, batch, units) for _ in range(4))
        rz = gates_LBG.new_empty(length, batch, 2 * units)
        h = state_BC
        for t in range(length):
            h = torch.mul(h, keep_LB1[t], out=before[t])
            hidden = torch.addmm(bias_G, h, weight_GC.T)
            r, z = torch.sigmoid(gates_LBG[t, :, : 2 * units] + hidden[:, : 2 * units], out=rz[t]).chunk(2, 1)
            hidden_new[t] = hidden[:, 2 * units :]
            n = torch.tanh(torch.addcmul(gates_LBG[t, :, 2 * units :], r, hidden_new[t]), out=new[t])
            h = torch.lerp(n, h, z, out=states[t])
        ctx.save_for_backward(weight_GC, before, rz, new, hidden_new, keep_LB1)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_LBC: Tensor) -> tuple[Tensor | None, ...]:
        weight_GC, before, rz, n, hidden_new, keep_LB1 = ctx.saved_tensors
        r, z = rz.chunk(2, 2)
        # By what the slope of h' is multiplied to become that of r, z, U_n h + c_n and n, each before its sigmoid or tanh.
        by_n = (1 - z) * (1 - n * n)
        factors_LB4C = torch.stack([by_n * hidden_new * r * (1 - r), (before - n) * z * (1 - z), by_n * r, by_n], 2)
        slopes_LB4C = torch.empty_like(factors_LB4C)
        earlier_BC = torch.zeros_like(slope_LBC[0])  # slope of the state after step t by what came later
        for t in reversed(range(len(slope_LBC))):
            h = slope_LBC[t] + earlier_BC
            torch.mul(factors_LB4C[t], h.unsqueeze(1), out=slopes_LB4C[t])
            earlier_BC = torch.addmm(h * z[t], slopes_LB4C[t, :, :3].flatten(1), weight_GC) * keep_LB1[t]
        hidden_RG = slopes_LB4C[:, :, :3].flatten(0, 1).flatten(1)
        gates_LBG = slopes_LB4C[:, :, [0, 1, 3]].flatten(2)
        return gates_LBG, hidden_RG.T @ before.flatten(0, 1), hidden_RG.sum(0), earlier_BC, None
