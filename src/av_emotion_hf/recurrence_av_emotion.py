"""One layer of an RNN: torch's own, and the same sequence of steps as `torch.export` and ONNX write it down.

Both unroll torch's layers, which fixes the length of the sequences.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# ONNX has the gates in this order; torch has input, forget, cell, output and reset, update, new
ONNX_GATES = {nn.LSTM: ("LSTM", (0, 3, 1, 2), {}), nn.GRU: ("GRU", (1, 0, 2), {"linear_before_reset": 1})}


def run_layer(layer: nn.LSTM | nn.GRU, states: Tensor) -> Tensor:
    """States (B, T, D) of a layer of one direction, `batch_first`, that reads `states` (B, T, F)."""
    if not torch.compiler.is_exporting():
        return layer(states)[0]
    return _onnx(layer, states) if torch.onnx.is_in_onnx_export() else _scan(layer, states)


def _onnx(layer: nn.LSTM | nn.GRU, states: Tensor) -> Tensor:
    """The operator of ONNX."""
    name, order, attributes = ONNX_GATES[type(layer)]
    states = states.transpose(0, 1)

    def ordered(weights: Tensor) -> Tensor:
        gates = weights.chunk(len(order))
        return torch.cat([gates[i] for i in order])[None]

    biases = torch.cat([ordered(layer.bias_ih_l0), ordered(layer.bias_hh_l0)], dim=1)
    result = torch.onnx.ops.symbolic(
        name,
        (states, ordered(layer.weight_ih_l0), ordered(layer.weight_hh_l0), biases),
        {"hidden_size": layer.hidden_size, **attributes},
        dtype=states.dtype,
        shape=(states.shape[0], 1, states.shape[1], layer.hidden_size),
    )
    return result[:, 0].transpose(0, 1)


def _scan(layer: nn.LSTM | nn.GRU, states: Tensor) -> Tensor:
    """A loop over the steps that stays a loop."""
    from torch._higher_order_ops import scan

    states = F.pad(states, (0, 0, 0, 2))  # a length of 1 would be a case of its own
    inputs = F.linear(states, layer.weight_ih_l0, layer.bias_ih_l0).transpose(0, 1)
    weight, bias = layer.weight_hh_l0, layer.bias_hh_l0
    start = states.new_zeros(states.shape[0], layer.hidden_size)

    def lstm(carried: tuple[Tensor, Tensor], given: Tensor):
        state, cell = carried
        entry, forget, new, exit_ = (given + F.linear(state, weight, bias)).chunk(4, dim=-1)
        cell = forget.sigmoid() * cell + entry.sigmoid() * new.tanh()
        state = exit_.sigmoid() * cell.tanh()
        return (state, cell), state.clone()  # what is carried must not be what is given out

    def gru(state: Tensor, given: Tensor):
        given, back = given.chunk(3, dim=-1), F.linear(state, weight, bias).chunk(3, dim=-1)
        update = (given[1] + back[1]).sigmoid()
        new = (given[2] + (given[0] + back[0]).sigmoid() * back[2]).tanh()
        state = new + update * (state - new)
        return state, state.clone()

    if isinstance(layer, nn.LSTM):
        _, states = scan(lstm, (start, start.clone()), inputs)
    else:
        _, states = scan(gru, start, inputs)
    return states[:-2].transpose(0, 1)


__all__ = ["run_layer"]
