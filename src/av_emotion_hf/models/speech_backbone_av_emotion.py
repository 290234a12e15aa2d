"""Speech backbone: frame states of a speech encoder of transformers on the frame grid of the acoustic front-end.

What an encoder has learned from very much speech is the "massive" part of the pre-training of CN112633263A that others
have done: Whisper (Radford et al. 2023), wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et al. 2021), WavLM (Chen et
al. 2022). Its layers are summed with learned weights (Yang et al. 2021, SUPERB).

Axes: B clips, S samples, M frames of 10 ms, N of 20 ms, T of the front-end, L layers, W sums, H states of a layer.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig

from .backbones_av_emotion import depth
from .person_baseline_av_emotion import standardize

SAMPLING_RATE = 16000  # of all these encoders
HOP = 320  # samples: they have 50 frames per second
LONGEST = 1500  # frames of 20 ms that an encoder sees at once, the 30 seconds of Whisper
CONTEXT = 50  # frames on both sides of a cut that come from the neighboring block

WINDOW, MEL_HOP = 400, 160  # of Whisper's spectrum
MEL_RANGE = 8.0  # powers of ten below its maximum at which it is cut off
RECEPTIVE_FIELD = 400  # samples of a frame of the other encoders
HEAD_START = 4.0  # initial logit of the layer that a sum begins with, where there are several


class SpeechBackbone(nn.Module):
    r"""Frame states of a speech encoder: weighted sums over its layers, side by side.

    A clip passes at its true length, without padding, in blocks of 30 seconds that overlap by a second on both sides,
    so that the memory does not grow with it and the other clips of a batch change nothing. The encoder is in
    evaluation mode always: its dropout and its own masking are for other tasks.

    Args:
        backbone_config: of the encoder, a [`WhisperConfig`] or one of wav2vec 2.0, HuBERT or WavLM. Of Whisper its
            encoder alone is built.
        normalize: give each waveform zero mean and unit deviation before, as some encoders expect (`do_normalize` of
            their feature extractor).
        frames_per_second: of the front-end.
        frozen: whether training leaves the encoder as it is; the sums over its layers are learned all the same.
        num_sums: W. A single sum begins with equal weights; of several, each begins at one of the last layers, since
            layers know different things and a head does better with all of them than with their mean.
    """

    layer_weights: Tensor
    feature_mean: Tensor
    feature_std: Tensor
    mel_filters: Tensor

    def __init__(
        self,
        backbone_config: PreTrainedConfig,
        normalize: bool,
        frames_per_second: float,
        frozen: bool = True,
        num_sums: int = 1,
    ):
        super().__init__()
        self.is_whisper, self.normalize = backbone_config.model_type == "whisper", normalize
        self.frozen = frozen
        self.frame_step = SAMPLING_RATE / HOP / frames_per_second  # of the front-end, in frames of the encoder
        # in the type that is being loaded, not in the one that the encoder's own configuration remembers
        dtype = torch.get_default_dtype()
        if self.is_whisper:
            from transformers.models.whisper.modeling_whisper import WhisperEncoder

            self.encoder = WhisperEncoder._from_config(backbone_config, dtype=dtype)
            self.encoder.layer_norm = nn.Identity()  # its states are taken before
            filters = torch.empty(WINDOW // 2 + 1, backbone_config.num_mel_bins, dtype=torch.float32)
            self.register_buffer("mel_filters", filters, False)
        else:
            from transformers import AutoModel  # at the top it would import the models, and these this file

            self.encoder = AutoModel.from_config(backbone_config, dtype=dtype)
        self.layer_size = backbone_config.hidden_size
        self.num_states = num_sums * self.layer_size
        self.layer_weights = nn.Parameter(torch.zeros(num_sums, depth(backbone_config) + 1))
        self.register_buffer("feature_mean", torch.zeros(self.num_states))
        self.register_buffer("feature_std", torch.ones(self.num_states))

    def initial_tensors(self) -> dict[str, Tensor]:
        """Initial values of what does not belong to the encoder, by name."""
        num_sums, num_layers = self.layer_weights.shape
        layer_weights = torch.zeros(num_sums, num_layers)
        if num_sums > 1:
            layer_weights[range(num_sums), range(num_layers - num_sums, num_layers)] = HEAD_START
        tensors = {
            "layer_weights": layer_weights,
            "feature_mean": torch.zeros(self.num_states),
            "feature_std": torch.ones(self.num_states),
        }
        if self.is_whisper:
            tensors["mel_filters"] = mel_filters(self.mel_filters.shape[1])
        return tensors

    def train(self, mode: bool = True) -> "SpeechBackbone":
        """As in torch, but the encoder stays in evaluation mode, and without gradients if it is frozen."""
        super().train(mode)
        self.encoder.eval()
        if self.frozen:  # again: weights that were loaded have forgotten it
            self.encoder.requires_grad_(False)
        return self

    def layers_above(self) -> dict[nn.Parameter, int]:
        """For each weight of the encoder, how many layers stand above its own; all of them above the convolutions."""
        layers = self.encoder.layers if self.is_whisper else self.encoder.encoder.layers
        above = dict.fromkeys(self.encoder.parameters(), len(layers))
        for number, layer in enumerate(layers, 1):
            above |= dict.fromkeys(layer.parameters(), len(layers) - number)
        return above

    def forward(self, waveform: Tensor, lengths: Tensor, num_frames: int) -> Tensor:
        """States `(B, T, W H)` float32 on the front-end's frames, zero after the end of a clip.

        Args:
            waveform: `(B, S)` float32, full scale 1.
            lengths: samples of each clip `(B,)`.
            num_frames: T.
        """
        states = waveform.new_zeros(len(waveform), num_frames, self.num_states)
        for row, length in enumerate(lengths.tolist()):
            if length:
                own = self._clip(waveform[row, :length])
                states[row, : _count(len(own), self.frame_step, num_frames)] = self._on_grid(own, num_frames)
        return states

    def trace(self, waveform: Tensor, lengths: Tensor, num_frames: int) -> Tensor:
        """As [`forward`], by operations that `torch.export` can record: all clips at once, of at most 30 seconds.

        Raises:
            ValueError: the encoder is not Whisper's.
        """
        if not self.is_whisper:
            kind = type(self.encoder).__name__
            raise ValueError(f"a speech backbone of {kind} cannot be exported; use one of Whisper")
        count = math.ceil(num_frames * self.frame_step) if self.frame_step != 1 else num_frames
        real = (lengths + HOP - 1) // HOP
        mel_mask = torch.arange(2 * count, device=waveform.device) < 2 * real[:, None]
        before, after = WINDOW // 2, MEL_HOP * (2 * count - 1) + WINDOW - WINDOW // 2 - waveform.shape[1]
        samples = F.pad(waveform.float(), (before, after)).unfold(1, WINDOW, MEL_HOP)
        turn = torch.arange(WINDOW)[:, None] * torch.arange(WINDOW // 2 + 1) * (2 * math.pi / WINDOW)
        window = torch.hann_window(WINDOW)[:, None]
        real_part, imaginary_part = (samples @ (window * part).to(samples) for part in (turn.cos(), turn.sin()))
        power = real_part.square() + imaginary_part.square()
        mel = (power @ self.mel_filters.to(power)).clamp(min=1e-10).log10()
        highest = mel.masked_fill(~mel_mask[..., None], -10).amax((1, 2), keepdim=True)
        mel = ((torch.maximum(mel, highest - MEL_RANGE) + 4) / 4 * mel_mask[..., None]).transpose(1, 2)
        frame_mask = torch.arange(count, device=waveform.device) < real[:, None]
        bias = torch.zeros(frame_mask.shape, device=waveform.device).masked_fill(~frame_mask, -1e9)[:, None, None]
        layers = self._whisper_layers(mel, mel_mask[:, None], bias.expand(-1, -1, frame_mask.shape[1], -1))
        states = self._summed(layers) * frame_mask[..., None]
        if self.frame_step != 1:
            at = torch.arange(num_frames, device=states.device) * self.frame_step
            last = (real[:, None] - 1).clamp(min=0)
            first, second = (torch.minimum(at.long() + step, last) for step in (0, 1))
            near, far = (
                states.gather(1, index[..., None].expand(-1, -1, self.num_states)) for index in (first, second)
            )
            states = torch.lerp(near, far, (at - first)[..., None].clamp(max=1))
        return states

    def standardize(self, states: Tensor, statistics: Tensor | None = None) -> Tensor:
        """States `(B, T, W H)`, standardized by mean and deviation of the dataset, or by `statistics (B, 2, W H)`."""
        return standardize(states, self.feature_mean, self.feature_std, statistics)

    def _clip(self, waveform: Tensor) -> Tensor:
        """States `(N, W H)` of one clip `(S,)`, a frame for each 20 ms that begin in it."""
        if self.normalize:
            waveform = (waveform - waveform.mean()) / (waveform.var(unbiased=False) + 1e-7).sqrt()
        num_frames = -(-len(waveform) // HOP)
        inputs = self._log_mel(waveform, num_frames) if self.is_whisper else self._padded(waveform, num_frames)
        parts = [
            self._block(inputs, first, last)[start - first : stop - first]
            for first, last, start, stop in blocks(num_frames)
        ]
        return torch.cat(parts)

    def _block(self, inputs: Tensor, first: int, last: int) -> Tensor:
        """Weighted sums over the layers `(n, W H)` for the frames from `first` to before `last`."""
        is_trained = torch.is_grad_enabled() and any(weight.requires_grad for weight in self.encoder.parameters())
        with torch.set_grad_enabled(is_trained):
            if self.is_whisper:
                layers = self._whisper_layers(inputs[None, :, 2 * first : 2 * last])
            else:
                samples = inputs[HOP * first : HOP * (last - 1) + RECEPTIVE_FIELD]
                layers = list(
                    self.encoder(samples[None].to(self.encoder.dtype), output_hidden_states=True).hidden_states
                )
        return self._summed(layers)[0]

    def _summed(self, layers: list[Tensor]) -> Tensor:
        """Weighted sums `(B, N, W H)` of the states of all layers, each at its own scale: deep ones are far larger."""
        with torch.autocast(layers[0].device.type, enabled=False):  # features are single precision
            shares = self.layer_weights.float().softmax(-1)
            scaled = torch.stack([F.layer_norm(states.float(), (self.layer_size,)) for states in layers])
            return torch.einsum("wl,lbnh->bnwh", shares, scaled).flatten(-2)

    def _whisper_layers(self, mel: Tensor, mel_mask: Tensor | None = None, bias: Tensor | None = None) -> list[Tensor]:
        """States `(B, N, H)` before and after each layer of Whisper's encoder, which itself takes 30 seconds only.

        Args:
            mel: `(B, bands, M)`.
            mel_mask: `(B, 1, M)`, where clips of different length are in one batch.
            bias: `(B, 1, N, N)` that is added to the attention, likewise.
        """
        encoder = self.encoder
        states = F.gelu(encoder.conv1(mel.to(encoder.dtype)))
        if mel_mask is not None:
            states = states * mel_mask
        states = F.gelu(encoder.conv2(states)).transpose(1, 2)
        places = torch.arange(states.shape[1], device=states.device).clamp(max=LONGEST - 1)
        states = states + encoder.embed_positions.weight[places]
        layers = [states]
        for layer in encoder.layers:
            states = layer(states, None if bias is None else bias.to(states.dtype))
            layers.append(states)
        return layers

    def _log_mel(self, waveform: Tensor, num_frames: int) -> Tensor:
        """Whisper's log-mel spectrum `(bands, M)`, M twice the number of frames, with silence around the clip."""
        after = num_frames * HOP - len(waveform)
        padded = F.pad(waveform.float(), (WINDOW // 2, after + WINDOW // 2))
        window = torch.hann_window(WINDOW, device=waveform.device)
        with torch.autocast(waveform.device.type, enabled=False):
            parts = []
            # in pieces: the spectrum takes ten times the memory of the waveform
            for first in range(0, 2 * num_frames, LONGEST):
                last = min(first + LONGEST, 2 * num_frames)
                samples = padded[MEL_HOP * first : MEL_HOP * (last - 1) + WINDOW].unfold(0, WINDOW, MEL_HOP)
                power = torch.fft.rfft(samples * window).abs().square()
                parts.append((power @ self.mel_filters.to(power)).clamp(min=1e-10).log10().T)
            mel = torch.cat(parts, dim=1)
        return (torch.maximum(mel, mel.max() - MEL_RANGE) + 4) / 4

    def _padded(self, waveform: Tensor, num_frames: int) -> Tensor:
        """The waveform with zeros around it, so that frame t is centered on sample 320 t."""
        before = RECEPTIVE_FIELD // 2
        after = HOP * (num_frames - 1) + RECEPTIVE_FIELD - before - len(waveform)
        return F.pad(waveform, (before, max(0, after)))

    def _on_grid(self, states: Tensor, num_frames: int) -> Tensor:
        """States `(N, W H)` of the encoder's frames on those of the front-end `(T, W H)`, linearly interpolated."""
        count = _count(len(states), self.frame_step, num_frames)
        if self.frame_step == 1:
            return states[:count]
        at = torch.arange(count, device=states.device) * self.frame_step
        before = at.long().clamp(max=len(states) - 1)
        after = (before + 1).clamp(max=len(states) - 1)
        return torch.lerp(states[before], states[after], (at - before)[:, None].clamp(max=1))


def blocks(num_frames: int) -> Iterator[tuple[int, int, int, int]]:
    """Blocks of at most 30 seconds: first and last frame (exclusive), and those of them that are kept."""
    size = LONGEST - 2 * CONTEXT
    for start in range(0, num_frames, size):
        stop = min(start + size, num_frames)
        yield max(0, start - CONTEXT), min(stop + CONTEXT, num_frames), start, stop


def mel_filters(num_mel_bins: int) -> Tensor:
    """Whisper's filterbank `(201, bands)`: triangles of equal area on the mel scale of Slaney (1998)."""
    top = SAMPLING_RATE / 2
    edges = _slaney_hertz(torch.linspace(0, _slaney_mel(top), num_mel_bins + 2, dtype=torch.float64))
    bins = torch.linspace(0, top, WINDOW // 2 + 1, dtype=torch.float64)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return (torch.minimum(rising, falling).clamp(min=0) * 2 / (edges[2:] - edges[:-2])).float()


def _slaney_mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + math.log(hertz / 1000) * 27 / math.log(6.4)


def _slaney_hertz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))


def _count(available: int, step: float, num_frames: int) -> int:
    """Frames of the front-end that lie within `available` frames of the encoder."""
    return min(num_frames, math.ceil(available / step))


__all__ = ["SpeechBackbone", "blocks", "mel_filters"]
