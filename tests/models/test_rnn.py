"""The RNN over padded sequences against torch's own layers."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from av_emotion_hf.models.configuration_av_emotion import RNN_TYPES
from av_emotion_hf.models.rnn_av_emotion import RNN_CLASSES, MaskedRNN, mean_pool, run_layer


def test_every_type_has_its_class():
    assert tuple(RNN_CLASSES) == RNN_TYPES


@pytest.mark.parametrize(("rnn_type", "reference"), [("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_rnn_equals_packed_sequences(audio_config, rnn_type, reference):
    audio_config.rnn_type = rnn_type
    rnn = MaskedRNN(audio_config, 5).eval()
    packed = reference(5, 4, num_layers=2, batch_first=True, bidirectional=True)
    for depth, directions in enumerate(rnn.layers):
        for suffix, direction in zip(("", "_reverse"), directions, strict=True):
            for name, parameter in direction.named_parameters():
                getattr(packed, name.replace("_l0", f"_l{depth}{suffix}")).data.copy_(parameter)
    lengths = torch.tensor([7, 3, 1])
    features, frame_mask = torch.randn(3, 7, 5), torch.arange(7) < lengths[:, None]
    sequences = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(packed(sequences)[0], batch_first=True)[0]
    torch.testing.assert_close(rnn(features, frame_mask), expected)


def test_mean_pool_is_the_mean_over_real_frames():
    states = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [7.0], [9.0]]])
    frame_mask = torch.tensor([[True, True, False], [False, False, False]])
    assert mean_pool(states, frame_mask).tolist() == [[2.0], [0.0]]


@pytest.mark.slow
@pytest.mark.parametrize("layer_class", [torch.nn.LSTM, torch.nn.GRU])
def test_a_traced_layer_is_the_layer(tracing, layer_class):
    torch.manual_seed(0)
    layer, states = layer_class(5, 4, batch_first=True), torch.randn(3, 9, 5)
    with torch.no_grad():
        expected = run_layer(layer, states)
        assert torch.equal(expected, layer(states)[0])
        tracing()
        torch.testing.assert_close(run_layer(layer, states), expected)


@pytest.mark.parametrize("layer_class", [nn.LSTM, nn.GRU])
def test_autocast_does_not_reach_a_layer_on_the_cpu(monkeypatch, layer_class):
    """A CPU without bfloat16 instructions has no LSTM in that type."""
    layer, states = layer_class(5, 4, batch_first=True), torch.randn(3, 9, 5)
    expected, seen, forward = run_layer(layer, states), [], layer.forward
    monkeypatch.setattr(layer, "forward", lambda x: seen.append(torch.is_autocast_enabled("cpu")) or forward(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = run_layer(layer, states)
        assert torch.is_autocast_enabled("cpu")
    assert seen == [False]
    assert torch.equal(got, expected) and got.dtype == torch.float32


@pytest.mark.parametrize("rnn_type", RNN_TYPES)
def test_under_autocast_the_states_stay_as_they_are(audio_config, rnn_type):
    audio_config.rnn_type = rnn_type
    rnn = MaskedRNN(audio_config, 5).eval()
    features, frame_mask = torch.randn(2, 6, 5), torch.ones(2, 6, dtype=torch.bool)
    expected = rnn(features, frame_mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rnn(features, frame_mask), expected)
