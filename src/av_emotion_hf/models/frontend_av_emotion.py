"""Acoustic front-end: from a waveform to named frame descriptors (CN112633263A, module 1).

Two parts that share one frame grid. The spectral part is differentiable and owns what module 3 trains: the filterbank,
its compression, and a gain and an offset per descriptor. The voice part (F0, voicing, HNR, jitter, shimmer, formants)
picks peaks, so it runs without gradient. Only selected descriptors are computed.
"""

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_av_emotion import AVEmotionAudioConfig
from .descriptors_av_emotion import DELTA, VOICED_ONLY, select_descriptors
from .frontend_export_av_emotion import SPARE_FRAMES, trace_spectrum, trace_voice
from .frontend_spectral_av_emotion import SpectralAnalysis, float32, slope_of
from .frontend_voice_av_emotion import VoiceAnalysis
from .person_baseline_av_emotion import standardize

MAX_AMPLITUDE = 1e6  # 30 times the scale of int16; beyond it a sample is an error, and its power soon overflows
DELTA_REACH = 2  # frames on both sides

PARAMETERS = ("filterbank", "compression", "gain", "offset")

Count = TypeVar("Count", int, Tensor)


def _neighbors(values: Tensor, reach: int) -> Tensor:
    """`values` (B, T, F) of the frames from `reach` before to `reach` after (B, T, F, 2 * reach + 1), 0 outside."""
    return F.pad(values, (0, 0, reach, reach)).unfold(1, 2 * reach + 1, 1)


def check_samples(waveform: Tensor) -> Tensor:
    """`waveform` (..., samples) itself, if it can be analyzed.

    Raises:
        ValueError: a sample is not finite, or far beyond full scale.
    """
    ends = torch.stack(torch.aminmax(waveform.detach())) if waveform.numel() else waveform.new_zeros(2)
    if not (ends.abs() < MAX_AMPLITUDE).all():  # also where they are nan
        place = (~(waveform.detach().abs() < MAX_AMPLITUDE)).nonzero()[0].tolist()
        raise ValueError(
            f"input_values{place} = {waveform[tuple(place)].item()}; samples must be finite and below "
            f"{MAX_AMPLITUDE:g}, where full scale is 1; drop the clip or fix its decoding"
        )
    return waveform


def _sum_around(values: Tensor, reach: int) -> Tensor:
    """Sum (B, T, F) of `values` (B, T, F) over the frames up to `reach` before and after each."""
    padded = F.pad(values, (0, 0, reach, reach))
    return sum((padded[:, i : i + values.shape[1]] for i in range(2 * reach + 1)), torch.zeros_like(values))


class AcousticFrontEnd(nn.Module):
    r"""Prosodic, voice-quality and spectral descriptors per frame, with the parameters that module 3 trains.

    Frame t is centered on sample t * shift, as are both windows, the spectral and the longer one for pitch; they
    extend into zeros at the ends of the clip. Levels are relative to full scale (a sample of 1). P is the power
    spectrum of the frame (Hamming window, Eyben et al. 2016), r the autocorrelation of the pitch frame (Hann window)
    divided by that of the window (Boersma 1993). Descriptors marked * exist in voiced frames only and are 0 elsewhere;
    those marked + are computed only if `descriptors` of the configuration names them.

    | descriptor | unit | definition | source |
    |---|---|---|---|
    | `loudness` | - | mel power, equal-loudness weights, cube root, summed | Hermansky 1990; Eyben et al. 2016 |
    | `log_energy_db` | dB | mean square of the windowed frame | Eyben et al. 2016 |
    | `f0_semitone` * | semitones from 27.5 Hz | lag of the peak of r on the smoothest path | Boersma 1993 |
    | `voiced` | 0 or 1 | the path prefers a peak of r to "unvoiced" | Boersma 1993 |
    | `voicing_probability` | 0 to 1 | height of the chosen, else the best peak of r below 4 kHz | Boersma 1993 |
    | `jitter_local` * | fraction | mean difference of neighboring periods / mean period | Praat; Eyben et al. 2016 |
    | `shimmer_local` * | fraction | the same for the cycles' peak amplitudes | Praat; Eyben et al. 2016 |
    | `shimmer_local_db` *+ | dB | mean level difference of neighboring cycles | Praat; Eyben et al. 2016 |
    | `hnr_db` * | dB | r / (1 - r) at the chosen peak, -30 to 40 | Boersma 1993 |
    | `h1_h2_db` * | dB | level of the first over the second harmonic | Eyben et al. 2016 |
    | `h1_a3_db` *+ | dB | level of the first over the highest harmonic of formant 3 | Eyben et al. 2016 |
    | `cpp_db` | dB | cepstral peak over the regression line from 1 ms on | Hillenbrand et al. 1994 |
    | `alpha_ratio_db` | dB | P in 1-5 kHz over P in 50 Hz-1 kHz | Eyben et al. 2016 |
    | `hammarberg_index_db` | dB | peak of P in 0-2 kHz over its peak in 2-5 kHz | Hammarberg et al. 1980 |
    | `slope_0_500`, `slope_500_1500` | dB/Hz | regression line of P in dB over frequency | Eyben et al. 2016 |
    | `egemaps_slope_0_500`, `..._500_1500` + | dB/Hz | the same with one point too few in the count | eGeMAPSv02 |
    | `spectral_flux` | amplitude | RMS change of sqrt(P) below 5 kHz since the last frame | Eyben et al. 2016 |
    | `spectral_centroid` | Hz | mean frequency weighted by P | Peeters 2004 |
    | `spectral_rolloff` + | Hz | frequency below which 85 % of P lie | Peeters 2004 |
    | `zero_crossing_rate` + | fraction | neighboring samples of different sign | Peeters 2004 |
    | `f1_frequency` ... `f3_frequency` *+ | Hz | angle of the poles that fit the harmonics | El-Jaroudi et al. 1991 |
    | `f1_bandwidth` ... `f3_bandwidth` *+ | Hz | distance of these poles from the unit circle | Makhoul 1975 |
    | `f1_amplitude_db` ... `f3_amplitude_db` *+ | dB | highest harmonic there over the first | Eyben et al. 2016 |
    | `mfcc_1` to `mfcc_4` | - | DCT-II of the log-mel bands | Davis and Mermelstein 1980 |
    | `log_mel_00` ... | ln power | log(exp(`compression`) + P @ `filterbank`) | CN112633263A (spectral descriptors) |
    | `delta_NAME` + | unit of NAME per frame | regression line over five frames | Young et al. 2006 |
    """

    filterbank: Tensor
    compression: Tensor
    gain: Tensor
    offset: Tensor
    feature_mean: Tensor
    feature_std: Tensor
    voiced_only: Tensor

    def __init__(self, config: AVEmotionAudioConfig):
        super().__init__()
        self.mel_floor = 10 ** (config.mel_floor_db / 10)
        self.smoothing_frames = config.smoothing_frames
        self.families = select_descriptors(config.descriptors, config.num_mel_bins, config.deltas)
        self.descriptor_names = tuple(name for family in self.families.values() for name in family)
        self.computed = tuple(name for name in self.descriptor_names if not name.startswith(DELTA))
        self.spectrum = SpectralAnalysis(config, self.computed)
        self.voice = VoiceAnalysis(config, self.computed)
        self.shift, self.sampling_rate, self.f0_min = self.spectrum.shift, config.sampling_rate, config.f0_min
        # frame shifts of zeros that the longer window needs on both sides of a clip
        self.reach = -(-max(self.spectrum.frame_length, self.voice.frame_length) // (2 * self.shift))
        for name, value in self._own_tensors().items():
            tensor = torch.empty(value.shape, dtype=value.dtype).copy_(value)  # follows a default device such as meta
            if name in PARAMETERS:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor, persistent=value.is_floating_point())

    def initial_tensors(self) -> dict[str, Tensor]:
        """Initial values of every parameter and buffer by name, on the CPU whatever the default device."""
        spectrum, voice = self.spectrum.initial_tensors(), self.voice.initial_tensors()
        parts = {f"spectrum.{name}": value for name, value in spectrum.items()}
        return self._own_tensors() | parts | {f"voice.{name}": value for name, value in voice.items()}

    def _own_tensors(self) -> dict[str, Tensor]:
        """Initial values of the parameters and the dataset statistics, and which descriptors need a voiced frame."""
        filterbank, size = self.spectrum.initial_filterbank(), len(self.descriptor_names)
        tensors = float32(
            {
                "filterbank": filterbank,
                "compression": np.full(filterbank.shape[1], math.log(self.mel_floor)),
                "gain": np.ones(size),
                "offset": np.zeros(size),
                "feature_mean": np.zeros(size),
                "feature_std": np.ones(size),
            }
        )
        voiced_only = [name.removeprefix(DELTA) in VOICED_ONLY for name in self.descriptor_names]
        return tensors | {"voiced_only": torch.from_numpy(np.array(voiced_only))}

    def num_frames(self, num_samples: Count) -> Count:
        """Frames of a clip of `num_samples` samples: 1 + (n - 1) // shift, and none for an empty clip."""
        return (num_samples + self.shift - 1) // self.shift

    def forward(self, input_values: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalized descriptors (B, T, F) and frame mask (B, T) of waveforms (B, samples)."""
        input_features, frame_mask = self.descriptors(input_values, attention_mask)
        return self.normalize(input_features), frame_mask

    def normalize(self, input_features: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Standardize descriptors (B, T, F), then apply the learnable gain and offset.

        By the dataset's mean and deviation, or by `statistics` (B, 2, F), those of each clip's person.

        Cells that are defined in voiced frames only are set to the mean elsewhere, so that "no voice" is not an
        extreme value; the descriptor `voiced` tells the two apart.
        """
        standardized = standardize(input_features, self.feature_mean, self.feature_std, statistics)
        standardized = standardized.masked_fill(~self.defined_cells(input_features), 0)
        return standardized * self.gain + self.offset

    def defined_cells(self, input_features: Tensor) -> Tensor:
        """Where `input_features (..., F)` are defined: voiced-only descriptors are not in unvoiced frames."""
        if self.voicing_column is None:  # no selected descriptor depends on it
            return torch.ones_like(input_features, dtype=torch.bool)
        return ~self.voiced_only | (input_features[..., self.voicing_column, None] > 0.5)

    @property
    def voicing_column(self) -> int | None:
        """Index of a descriptor that is above 0.5 in voiced frames only; `None` if none of these is selected."""
        names = self.descriptor_names
        return next((names.index(name) for name in ("voiced", "f0_semitone") if name in names), None)

    def descriptors(self, input_values: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Descriptors in physical units.

        Args:
            input_values: (B, samples), full scale 1. Half precision is analyzed in float32.
            attention_mask: (B, samples), 1 for real samples, padding on the right.

        Returns:
            Descriptors (B, T, F), zero in padded frames, and the frame mask (B, T), True for real frames.
        """
        exporting = torch.compiler.is_exporting()
        waveform, lengths = self.unpadded(input_values, attention_mask, check=not exporting)  # a graph has no errors
        count = self.num_frames(waveform.shape[1]) + (SPARE_FRAMES if exporting else 0)
        before = self.reach * self.shift
        padded = F.pad(waveform, (before, (count + self.reach) * self.shift - waveform.shape[1]))
        features, frame_mask = self.trace(padded, lengths) if exporting else self.describe(padded, lengths)
        return features.masked_fill(~frame_mask[..., None], 0), frame_mask

    def describe(self, padded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptors (B, T, F) in physical units of clips with zeros around them, and their frame mask (B, T).

        Args:
            padded: (B, (T + 2 * reach) * shift), the first sample of each clip at `reach * shift`. Not checked.
            lengths: (B,), samples of each clip. The descriptors of frames after the end of a clip are undefined.
        """
        frame_mask = self._frame_mask(padded, lengths)
        if not frame_mask.numel():
            return padded.new_zeros(*frame_mask.shape, len(self.descriptor_names)), frame_mask
        with torch.autocast(padded.device.type, enabled=False):  # powers of 1e-12 do not survive half precision
            columns = self.spectrum(padded, self.reach, self.filterbank, self.compression)
            columns |= self.voice(padded, self.reach, lengths, frame_mask)
            return self._over_time(columns, frame_mask), frame_mask

    def trace(self, padded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As [`describe`], by operations that `torch.export` can record."""
        frame_mask = self._frame_mask(padded, lengths)
        columns = trace_spectrum(self.spectrum, padded, self.reach, self.filterbank, self.compression)
        columns |= trace_voice(self.voice, padded, self.reach, lengths, frame_mask)
        return self._over_time(columns, frame_mask), frame_mask

    def _frame_mask(self, padded: Tensor, lengths: Tensor) -> Tensor:
        steps = torch.arange(padded.shape[1] // self.shift - 2 * self.reach, device=padded.device)
        return steps < self.num_frames(lengths)[:, None]

    def _over_time(self, columns: dict[str, Tensor], frame_mask: Tensor) -> Tensor:
        """Columns (B, T) by name to features (B, T, F), smoothed and with their slopes over time if configured.

        A neighbor counts if it is a frame of the clip and, for descriptors of voiced frames, voiced.
        """
        features = torch.stack([columns[name] for name in self.computed], dim=-1)
        deltas = len(self.computed) < len(self.descriptor_names)
        if self.smoothing_frames == 1 and not deltas:
            return features
        voiced_only = torch.tensor([name in VOICED_ONLY for name in self.computed], device=features.device)
        defined = frame_mask[..., None] & (~voiced_only | (columns["voiced"] > 0)[..., None])
        if self.smoothing_frames > 1:
            reach, weight = self.smoothing_frames // 2, defined.to(features)
            total, count = (_sum_around(values, reach) for values in (features * weight, weight))
            smoothed = total / count.clamp_(min=1)
            step = torch.tensor([name == "voiced" for name in self.computed], device=features.device)
            features = (torch.where(step, features, smoothed) if "voiced" in self.computed else smoothed) * weight
        if not deltas:
            return features
        around = _neighbors(features, DELTA_REACH)
        around = torch.where(_neighbors(defined.to(features), DELTA_REACH) > 0, around, features[..., None])
        at = torch.arange(-DELTA_REACH, DELTA_REACH + 1, device=features.device).to(features)
        slopes = slope_of(around, at) * defined
        columns = dict(zip(self.computed, features.unbind(-1), strict=True))
        columns |= {DELTA + name: slope for name, slope in zip(self.computed, slopes.unbind(-1), strict=True)}
        return torch.stack([columns[name] for name in self.descriptor_names], dim=-1)

    def unpadded(
        self, input_values: Tensor, attention_mask: Tensor | None, check: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Waveforms (B, samples) with zeros in their padding, and the number of real samples (B,) of each clip."""
        if input_values.ndim != 2:
            raise ValueError(f"input_values has shape {tuple(input_values.shape)}; expected (batch, samples)")
        dtype = torch.promote_types(input_values.dtype, self.gain.dtype)
        waveform = input_values.to(torch.promote_types(dtype, torch.float32))
        lengths = torch.full(waveform.shape[:1], waveform.shape[1], device=waveform.device)
        if attention_mask is not None:
            real = attention_mask.to(waveform.device).bool()
            if check and (real[:, 1:] & ~real[:, :-1]).any():
                raise ValueError("attention_mask has ones after zeros; pad clips on the right")
            waveform, lengths = waveform.masked_fill(~real, 0), real.sum(dim=1)
        return check_samples(waveform) if check else waveform, lengths


__all__ = ["AcousticFrontEnd", "check_samples"]
