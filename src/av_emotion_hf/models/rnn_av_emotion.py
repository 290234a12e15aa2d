"""The RNN over padded sequences, and the mean of its states as a sentence-level vector."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_av_emotion import AVEmotionEncoderConfig

RNNLayer = nn.LSTM | nn.GRU
RNN_CLASSES: dict[str, type[RNNLayer]] = {"lstm": nn.LSTM, "gru": nn.GRU}  # by name in `RNN_TYPES`
# ONNX has the gates in this order; torch has input, forget, cell, output and reset, update, new
ONNX_GATES: dict[type[nn.Module], tuple[str, tuple[int, ...], dict[str, int]]] = {
    nn.LSTM: ("LSTM", (0, 3, 1, 2), {}),
    nn.GRU: ("GRU", (1, 0, 2), {"linear_before_reset": 1}),
}


class MaskedRNN(nn.Module):
    """GRU or LSTM over padded sequences; padding does not change the result.

    The backward direction reads each sequence reversed within its own length, so that padding comes last in both
    directions. The result is that of packed sequences, whose backward pass is quadratic in the length on a CPU
    (`benchmarks/rnn.py`).
    """

    def __init__(self, config: AVEmotionEncoderConfig, input_size: int):
        super().__init__()
        directions = 2 if config.bidirectional else 1
        sizes = [input_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        rnn_class = RNN_CLASSES[config.rnn_type]
        self.layers: Sequence[Sequence[RNNLayer]] = nn.ModuleList(  # type: ignore[assignment]  # its items are Modules
            nn.ModuleList(
                rnn_class(size, config.hidden_size // directions, batch_first=True) for _ in range(directions)
            )
            for size in sizes
        )
        self.dropout = config.hidden_dropout

    def sides(self, features: Tensor, frame_mask: Tensor) -> list[Tensor]:
        """States `(B, T, D)` of each direction on its own, zero in the other direction's half."""
        states = self(features, frame_mask, apart=True)
        return _sides(states) if len(self.layers[0]) == 2 else [states]

    def forward(self, features: Tensor, frame_mask: Tensor, apart: bool = False) -> Tensor:
        """States `(B, T, D)` of `features (B, T, F)`, zero in padding.

        With `apart`, each direction reads its own half of the layer below, and zeros instead of the other half.
        """
        steps = torch.arange(features.shape[1], device=features.device)
        lengths = frame_mask.sum(dim=1, keepdim=True)
        turned = torch.where(steps < lengths, lengths - 1 - steps, steps)  # (B, T), its own inverse
        states = features.to(next(self.parameters()).dtype)
        for depth, directions in enumerate(self.layers):
            if depth > 0:
                states = F.dropout(states, self.dropout, self.training)
            read = _sides(states) if apart and depth > 0 and len(directions) == 2 else [states, states]
            outputs = [run_layer(directions[0], read[0])]
            if len(directions) == 2:
                outputs.append(_reorder(run_layer(directions[1], _reorder(read[1], turned)), turned))
            states = torch.cat(outputs, dim=-1)
        return states * frame_mask.unsqueeze(-1)


def _reorder(states: Tensor, order: Tensor) -> Tensor:
    """Frames of `states (B, T, D)` in the order `(B, T)`."""
    return states.gather(1, order.unsqueeze(-1).expand_as(states))


def _sides(states: Tensor) -> list[Tensor]:
    """States `(B, T, D)` of both directions as two, each with zeros in the other direction's half."""
    forward, backward = states.chunk(2, dim=-1)
    return [torch.cat([forward, torch.zeros_like(backward)], -1), torch.cat([torch.zeros_like(forward), backward], -1)]


def mean_pool(states: Tensor, frame_mask: Tensor) -> Tensor:
    """Mean of `states (B, T, D)` over the real frames (CN112633263A: no parameters); zero where there are none."""
    weights = frame_mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def run_layer(layer: RNNLayer, states: Tensor) -> Tensor:
    """States `(B, T, D)` of a one-directional, `batch_first` layer that reads `states (B, T, F)`.

    `torch.export` and ONNX unroll torch's own layers, which fixes the sequence length; there the same steps are
    written as a loop or as the ONNX operator.
    """
    if not torch.compiler.is_exporting():
        # a CPU without bfloat16 instructions has no LSTM under autocast
        with torch.autocast("cpu", enabled=False) if states.device.type == "cpu" else nullcontext():
            return layer(states)[0]
    return _onnx(layer, states) if torch.onnx.is_in_onnx_export() else _scan(layer, states)


def _onnx(layer: RNNLayer, states: Tensor) -> Tensor:
    """As one ONNX operator."""
    name, order, attributes = ONNX_GATES[type(layer)]
    weight_ih, weight_hh, bias_ih, bias_hh = layer.all_weights[0]
    states = states.transpose(0, 1)

    def ordered(weights: Tensor) -> Tensor:
        gates = weights.chunk(len(order))
        return torch.cat([gates[i] for i in order])[None]

    biases = torch.cat([ordered(bias_ih), ordered(bias_hh)], dim=1)
    result = torch.onnx.ops.symbolic(
        name,
        (states, ordered(weight_ih), ordered(weight_hh), biases),
        {"hidden_size": layer.hidden_size, **attributes},
        dtype=states.dtype,
        shape=(states.shape[0], 1, states.shape[1], layer.hidden_size),
    )
    return result[:, 0].transpose(0, 1)


def _scan(layer: RNNLayer, states: Tensor) -> Tensor:
    """As a loop over the steps that stays a loop."""
    from torch._higher_order_ops import scan

    weight_ih, weight_hh, bias_ih, bias_hh = layer.all_weights[0]

    states = F.pad(states, (0, 0, 0, 2))  # a length of 1 would be a case of its own
    inputs = F.linear(states, weight_ih, bias_ih).transpose(0, 1)
    start = states.new_zeros(states.shape[0], layer.hidden_size)

    def lstm(carried: tuple[Tensor, Tensor], given: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        state, cell = carried
        entry, forget, new, exit_ = (given + F.linear(state, weight_hh, bias_hh)).chunk(4, dim=-1)
        cell = forget.sigmoid() * cell + entry.sigmoid() * new.tanh()
        state = exit_.sigmoid() * cell.tanh()
        return (state, cell), state.clone()  # the output must not be the carried tensor itself

    def gru(state: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        given_reset, given_update, given_new = given.chunk(3, dim=-1)
        reset, update, new = F.linear(state, weight_hh, bias_hh).chunk(3, dim=-1)
        update = (given_update + update).sigmoid()
        new = (given_new + (given_reset + reset).sigmoid() * new).tanh()
        state = new + update * (state - new)
        return state, state.clone()

    if isinstance(layer, nn.LSTM):
        _, states = scan(lstm, (start, start.clone()), inputs)
    else:
        _, states = scan(gru, start, inputs)
    return states[:-2].transpose(0, 1)


__all__ = ["RNN_CLASSES", "MaskedRNN", "mean_pool", "run_layer"]
