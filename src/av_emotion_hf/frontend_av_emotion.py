"""Acoustic front-end: from a waveform to named frame descriptors (CN112633263A, module 1).

Two parts that share one frame grid. The spectral part is differentiable and owns what module 3 trains: the filterbank,
its compression, and a gain and an offset per descriptor. The voice part (F0, voicing, HNR, jitter, shimmer) picks
peaks, so it runs without gradient.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_av_emotion import AVEmotionAudioConfig

FLOOR = 1e-12  # power relative to full scale (-120 dB) below which nothing counts as sound
MAX_AMPLITUDE = 1e6  # 30 times the scale of int16; beyond it a sample is an accident, and its power overflows soon
NUM_CANDIDATES = 5  # F0 candidates per frame

# of the F0 path (Boersma 1993), with Praat's standard values
SILENCE_THRESHOLD = 0.03
OCTAVE_COST = 0.01
OCTAVE_JUMP_COST = 0.35
VOICING_CHANGE_COST = 0.14

CYCLE_TOLERANCE = 0.2  # the next glottal cycle is looked for within this share of the mean period
# Praat: neighbouring cycles whose ratio exceeds these are a tracking error, neither jitter nor shimmer
MAX_PERIOD_FACTOR = 1.3
MAX_AMPLITUDE_FACTOR = 1.6

VOICED_ONLY = ("f0_semitone", "jitter_local", "shimmer_local", "hnr_db", "h1_h2_db")
PARAMETERS = ("filterbank", "compression", "gain", "offset")
STATISTICS = ("feature_mean", "feature_std")


def _window(length: int, edge: float) -> np.ndarray:
    """Raised cosine, `edge` high at its ends (Hann 0, Hamming 0.08), whose maximum is sample `length // 2`."""
    phase = 2 * np.pi * (np.arange(length) - length // 2) / length
    return (1 + edge) / 2 + (1 - edge) / 2 * np.cos(phase)


def _fft_length(length: int) -> int:
    """Smallest of 2^k, 3 * 2^k, 5 * 2^k that is not below `length`."""
    return min(m * 2 ** max(0, math.ceil(math.log2(length / m))) for m in (1, 3, 5))


def _power(frames: Tensor, window: Tensor, n_fft: int) -> Tensor:
    """Spectrum (..., n_fft // 2 + 1) whose bins sum to the windowed mean square of the frame (Parseval)."""
    spectrum = torch.view_as_real(torch.fft.rfft(frames * window, n=n_fft))
    return spectrum.square().sum(-1) * (2 / (n_fft * window.square().sum()))


def _decibel(power: Tensor) -> Tensor:
    return 10 * torch.log10(power + FLOOR)


def _slope(values: Tensor, at: Tensor) -> Tensor:
    """Least-squares slope of `values` (..., N) over `at` (N,)."""
    at = at - at.mean()
    return (values @ at) / (at @ at).clamp(min=FLOOR)


def _parabola(left: Tensor, top: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Offset in steps (-0.5 to 0.5) and height of the vertex through three equidistant points."""
    curvature = left - 2 * top + right
    offset = torch.where(curvature < 0, 0.5 * (left - right) / curvature, 0).clamp(-0.5, 0.5)
    return offset, top - 0.25 * (left - right) * offset


def _local_change(values: Tensor, max_factor: float) -> Tensor:
    """Mean difference of comparable neighbours over the mean: (N, cycles), nan where there is none, to (N,)."""
    values = values.where(values > 0, math.nan)
    ratio = values[:, 1:] / values[:, :-1]
    comparable = (ratio < max_factor) & (ratio > 1 / max_factor)
    change = values.diff(dim=-1).abs().where(comparable, math.nan)
    return (change.nanmean(-1) / values.nanmean(-1)).nan_to_num(0)


def _best_path(strength: Tensor, octave: Tensor, frame_mask: Tensor, cost_scale: float) -> Tensor:
    """Path of highest strength through the F0 candidates (Viterbi; Boersma 1993).

    `strength` (B, T, K + 1) ends with that of "unvoiced"; `octave` (B, T, K) is log2 of the F0 of the others; padded
    frames leave the path as it is; `cost_scale` is 10 ms / frame shift, the costs being stated for 100 frames per
    second. Returns the index (B, T) of the chosen candidate, where K means unvoiced.
    """
    jump = OCTAVE_JUMP_COST * (octave[:, :-1, :, None] - octave[:, 1:, None]).abs()
    cost = F.pad(jump, (0, 1, 0, 1), value=VOICING_CHANGE_COST) * cost_scale  # (B, T - 1, from, to)
    cost[..., -1, -1] = 0
    total, stay, origins = strength[:, 0], torch.arange(strength.shape[-1], device=strength.device), []
    for t in range(1, strength.shape[1]):
        best, origin = (total[:, :, None] - cost[:, t - 1]).max(dim=1)
        real = frame_mask[:, t, None]
        total = torch.where(real, best + strength[:, t], total)
        origins.append(torch.where(real, origin, stay))
    path = [total.argmax(dim=-1, keepdim=True)]
    for origin in reversed(origins):
        path.append(origin.gather(1, path[-1]))
    return torch.cat(path[::-1], dim=1)


class AcousticFrontEnd(nn.Module):
    r"""Prosodic, voice-quality and spectral descriptors per frame, with the parameters that module 3 trains.

    Frame t is centred on sample t * shift; both windows, the spectral and the longer one for pitch, are centred there
    and reach into zeros at the ends of the clip. Levels are relative to full scale (a sample of 1). P is the power
    spectrum of the frame (Hamming window, Eyben et al. 2016), r the autocorrelation of the pitch frame (Hann window)
    divided by that of the window (Boersma 1993). Descriptors marked * exist in voiced frames only and are 0 elsewhere.

    | descriptor | unit | definition | source |
    |---|---|---|---|
    | `loudness` | - | mel power, equal-loudness weights, cube root, summed | Hermansky 1990; Eyben et al. 2016 |
    | `log_energy_db` | dB | mean square of the windowed frame | Eyben et al. 2016 |
    | `f0_semitone` * | semitones from 27.5 Hz | lag of the peak of r on the smoothest path | Boersma 1993 |
    | `voiced` | 0 or 1 | the path prefers a peak of r to "unvoiced" | Boersma 1993 |
    | `voicing_probability` | 0 to 1 | height of the chosen, else the highest peak of r | Boersma 1993 |
    | `jitter_local` * | share | mean difference of neighbouring periods / mean period | Praat; Eyben et al. 2016 |
    | `shimmer_local` * | share | the same of the cycles' peak amplitudes | Praat; Eyben et al. 2016 |
    | `hnr_db` * | dB | r / (1 - r) at the chosen peak, -30 to 40 | Boersma 1993 |
    | `h1_h2_db` * | dB | level of the first over the second harmonic | Eyben et al. 2016 |
    | `cpp_db` | dB | cepstral peak over the regression line from 1 ms on | Hillenbrand et al. 1994 |
    | `alpha_ratio_db` | dB | P in 1-5 kHz over P in 50 Hz-1 kHz | Eyben et al. 2016 |
    | `hammarberg_index_db` | dB | peak of P in 0-2 kHz over its peak in 2-5 kHz | Hammarberg et al. 1980 |
    | `slope_0_500`, `slope_500_1500` | dB/Hz | regression line of P in dB over frequency | Eyben et al. 2016 |
    | `spectral_flux` | amplitude | r.m.s. change of sqrt(P) below 5 kHz since the last frame | Eyben et al. 2016 |
    | `spectral_centroid` | Hz | mean frequency weighted by P | Peeters 2004 |
    | `mfcc_1` to `mfcc_4` | - | DCT-II of the log-mel bands | Davis and Mermelstein 1980 |
    | `log_mel_00` ... | ln power | log(exp(`compression`) + P @ `filterbank`) | CN112633263A (spectral descriptors) |
    """

    def __init__(self, config: AVEmotionAudioConfig):
        super().__init__()
        self.sampling_rate = config.sampling_rate
        self.num_mel_bins = config.num_mel_bins
        self.f0_min, self.f0_max = config.f0_min, config.f0_max
        self.voicing_threshold = config.voicing_threshold
        self.shift, self.frame_length, self.pitch_frame_length = (
            max(1, round(ms * config.sampling_rate / 1000))
            for ms in (config.frame_shift_ms, config.frame_length_ms, config.pitch_frame_length_ms)
        )
        self.n_fft = _fft_length(self.frame_length)
        # long enough for the autocorrelation not to wrap around at the longest lag
        self.pitch_n_fft = _fft_length(self.pitch_frame_length + math.ceil(self.sampling_rate / self.f0_min) + 2)
        # lags in half samples: the autocorrelation is computed at twice the sampling rate, since a parabola through
        # points one sample apart misses the height of narrow peaks, and with it HNR
        longest, shortest = (2 * self.sampling_rate / f0 for f0 in (self.f0_min, self.f0_max))
        self.lags = range(math.ceil(shortest), math.floor(longest) + 1)
        self.families = {
            "prosody": ("loudness", "log_energy_db", "f0_semitone", "voiced", "voicing_probability"),
            "voice_quality": ("jitter_local", "shimmer_local", "hnr_db", "h1_h2_db", "cpp_db"),
            "spectral": (
                *("alpha_ratio_db", "hammarberg_index_db", "slope_0_500", "slope_500_1500", "spectral_flux"),
                "spectral_centroid",
                *(f"mfcc_{i}" for i in range(1, 5)),
                *(f"log_mel_{i:02d}" for i in range(self.num_mel_bins)),
            ),
        }
        self.descriptor_names = tuple(name for family in self.families.values() for name in family)
        for name, value in self.initial_tensors().items():
            tensor = torch.empty(value.shape, dtype=value.dtype).copy_(value)  # follows a default device such as meta
            if name in PARAMETERS:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor, persistent=name in STATISTICS)

    def initial_tensors(self) -> dict[str, Tensor]:
        """Start values of every parameter and buffer by name, on the CPU whatever the default device."""
        num_descriptors = len(self.descriptor_names)
        frequencies = np.arange(self.n_fft // 2 + 1) * self.sampling_rate / self.n_fft
        # triangles on the HTK mel scale from 20 Hz to Nyquist; none so narrow that it falls between two bins
        ends = 2595 * np.log10(1 + np.array([20, self.sampling_rate / 2]) / 700)
        corners = 700 * (10 ** (np.linspace(*ends, self.num_mel_bins + 2) / 2595) - 1)
        width, centre = np.maximum(np.diff(corners), self.sampling_rate / self.n_fft), corners[1:-1]
        distance = frequencies[:, None] - centre
        filterbank = 1 - np.maximum(-distance / width[:-1], distance / width[1:])
        omega2 = (2 * np.pi * centre) ** 2
        equal_loudness = (omega2 + 56.8e6) * omega2**2 / ((omega2 + 6.3e6) ** 2 * (omega2 + 0.38e9))  # Hermansky 1990
        dct = np.cos(np.pi * np.arange(1, 5) * (np.arange(self.num_mel_bins)[:, None] + 0.5) / self.num_mel_bins)
        pitch_window = _window(self.pitch_frame_length, edge=0)
        window_power = np.abs(np.fft.rfft(pitch_window, self.pitch_n_fft)) ** 2
        window_acf = np.fft.irfft(window_power, 2 * self.pitch_n_fft)[: self.lags.stop + 1]
        # 0.5 ms wide: takes the formants' ripple, not the timing, off the peaks of the glottal cycles
        cycle_kernel = _window(2 * round(self.sampling_rate * 2.5e-4) + 1, edge=0)
        arrays = {
            "filterbank": np.maximum(0, filterbank),
            "compression": np.full(self.num_mel_bins, math.log(1e-9)),
            "gain": np.ones(num_descriptors),
            "offset": np.zeros(num_descriptors),
            "feature_mean": np.zeros(num_descriptors),
            "feature_std": np.ones(num_descriptors),
            "window": _window(self.frame_length, edge=0.08),
            "frequencies": frequencies,
            "equal_loudness": np.cbrt(equal_loudness / equal_loudness.max()),
            "dct": dct * math.sqrt(2 / self.num_mel_bins),
            "pitch_window": pitch_window,
            "lag_gain": window_acf[0] / window_acf,  # Boersma 1993: the window's own decay, undone
            "cycle_kernel": cycle_kernel / cycle_kernel.sum(),
        }
        tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        tensors["voiced_only"] = torch.from_numpy(np.array([name in VOICED_ONLY for name in self.descriptor_names]))
        return tensors

    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Frames of a clip of `num_samples` samples: 1 + (n - 1) // shift, and none for an empty clip."""
        return (num_samples + self.shift - 1) // self.shift

    def forward(self, input_values: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalised descriptors (B, T, F) and frame mask (B, T) of waveforms (B, samples)."""
        input_features, frame_mask = self.descriptors(input_values, attention_mask)
        return self.normalize(input_features), frame_mask

    def normalize(self, input_features: Tensor) -> Tensor:
        """Standardise descriptors (B, T, F) by the corpus, then scale each by its learnable gain and offset.

        Cells that only voiced frames define are set to the corpus mean elsewhere, so that "no voice" is no extreme
        value; the descriptor `voiced` tells the two apart.
        """
        standardised = (input_features - self.feature_mean) / self.feature_std.clamp(min=1e-6)
        standardised = standardised.masked_fill(~self.defined_cells(input_features), 0)
        return standardised * self.gain + self.offset

    def defined_cells(self, input_features: Tensor) -> Tensor:
        """Where `input_features (..., F)` mean something: not in voiced-only descriptors of unvoiced frames."""
        voiced = input_features[..., self.descriptor_names.index("voiced")] > 0.5
        return ~self.voiced_only | voiced[..., None]

    def descriptors(self, input_values: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Descriptors in physical units.

        Args:
            input_values: (B, samples), full scale 1. Half precision is computed in float32.
            attention_mask: (B, samples), 1 for real samples, padding on the right.

        Returns:
            Descriptors (B, T, F), zero in padded frames, and the frame mask (B, T), True for real frames.
        """
        waveform, lengths = self._checked(input_values, attention_mask)
        steps = torch.arange(self.num_frames(waveform.shape[1]), device=waveform.device)
        frame_mask = steps < self.num_frames(lengths)[:, None]
        if not len(steps):
            return waveform.new_zeros(len(waveform), 0, len(self.descriptor_names)), frame_mask
        with torch.autocast(waveform.device.type, enabled=False):  # powers of 1e-12 do not survive half precision
            columns = self._spectral_columns(waveform) | self._voice_columns(waveform, lengths, frame_mask)
        features = torch.stack([columns[name] for name in self.descriptor_names], dim=-1)
        return features.masked_fill(~frame_mask[..., None], 0), frame_mask

    def _checked(self, input_values: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Waveform with zeros in its padding, and the number of real samples (B,) of each clip."""
        if input_values.ndim != 2:
            raise ValueError(f"input_values has shape {tuple(input_values.shape)}; (batch, samples) is needed")
        dtype = torch.promote_types(input_values.dtype, self.gain.dtype)
        waveform = input_values.to(torch.promote_types(dtype, torch.float32))
        lengths = torch.full(waveform.shape[:1], waveform.shape[1], device=waveform.device)
        if attention_mask is not None:
            real = attention_mask.to(waveform.device).bool()
            if (real[:, 1:] & ~real[:, :-1]).any():
                raise ValueError("attention_mask has ones after zeros; pad clips on the right")
            waveform, lengths = waveform.masked_fill(~real, 0), real.sum(dim=1)
        sound = waveform.detach().abs() < MAX_AMPLITUDE  # False for NaN
        if not sound.all():
            row, sample = (~sound).nonzero()[0].tolist()
            raise ValueError(
                f"input_values[{row}, {sample}] = {waveform[row, sample].item()}; samples must be finite and below "
                f"{MAX_AMPLITUDE:g}, full scale being 1; drop the clip or repair its decoding"
            )
        return waveform, lengths

    def _frames(self, signal: Tensor, length: int) -> Tensor:
        """View (B, T, length) of `signal` (B, samples), frame t centred on sample t * shift."""
        num_samples = signal.shape[1]
        end = (self.num_frames(num_samples) - 1) * self.shift + length - length // 2
        return F.pad(signal, (length // 2, end - num_samples)).unfold(1, length, self.shift)

    def _bins(self, low: float, high: float) -> slice:
        """Bins of the spectrum from `low` Hz up to, and without, `high` Hz; never empty."""
        start, stop = (math.ceil(f * self.n_fft / self.sampling_rate) for f in (low, high))
        return slice(min(start, self.n_fft // 2), max(start + 1, stop))

    def _spectral_columns(self, waveform: Tensor) -> dict[str, Tensor]:
        """Descriptors (B, T) of the spectrum; gradients reach the waveform, the filterbank and the compression."""
        power = _power(self._frames(waveform, self.frame_length), self.window.to(waveform), self.n_fft)
        level, frequencies = _decibel(power), self.frequencies.to(waveform)
        bass, treble = self._bins(50, 1000), self._bins(1000, 5000)
        # relu and not clamp: it passes no gradient at 0, so that a band never grows beyond its triangle
        mel = power @ torch.relu(self.filterbank.to(waveform))
        log_mel = torch.log(torch.exp(self.compression.to(waveform)) + mel)
        lower_peak, upper_peak = (level[..., self._bins(*band)].amax(-1) for band in ((0, 2000), (2000, 5000)))
        magnitude = torch.sqrt(power[..., self._bins(0, 5000)] + FLOOR)
        change = torch.diff(magnitude, dim=1, prepend=magnitude[:, :1])
        columns = {
            "loudness": torch.exp(log_mel / 3) @ self.equal_loudness.to(waveform),
            "log_energy_db": _decibel(power.sum(-1)),
            "alpha_ratio_db": _decibel(power[..., treble].sum(-1)) - _decibel(power[..., bass].sum(-1)),
            "hammarberg_index_db": lower_peak - upper_peak,
            "spectral_flux": torch.linalg.vector_norm(change, dim=-1) / math.sqrt(change.shape[-1]),
            "spectral_centroid": (power @ frequencies) / (power.sum(-1) + FLOOR),
        }
        for low, high in ((0, 500), (500, 1500)):
            band = self._bins(low, high)
            columns[f"slope_{low}_{high}"] = _slope(level[..., band], frequencies[band])
        columns |= {f"mfcc_{i}": column for i, column in enumerate((log_mel @ self.dct.to(waveform)).unbind(-1), 1)}
        columns |= {f"log_mel_{i:02d}": column for i, column in enumerate(log_mel.unbind(-1))}
        return columns

    @torch.no_grad()
    def _voice_columns(self, waveform: Tensor, lengths: Tensor, frame_mask: Tensor) -> dict[str, Tensor]:
        """Descriptors (B, T) of pitch and voice quality."""
        real = (torch.arange(waveform.shape[1], device=waveform.device) < lengths[:, None]).to(waveform)
        frames, real = self._frames(waveform, self.pitch_frame_length), self._frames(real, self.pitch_frame_length)
        step = max(1, 512 // len(waveform))  # so many frames at a time bound the memory and stay in the cache
        parts = map(self._pitch_candidates, frames.split(step, dim=1), real.split(step, dim=1))
        parts = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        f0, height, strength, h1_h2, cpp, peak, mean, polarity = parts
        # "unvoiced" wins where no peak is high or the frame is quiet beside the clip
        relative_peak = peak / peak.masked_fill(~frame_mask, 0).amax(dim=1, keepdim=True).clamp(min=1e-4)
        silence = (2 - relative_peak * (1 + self.voicing_threshold) / SILENCE_THRESHOLD).clamp(min=0)
        strength = torch.cat([strength, (self.voicing_threshold + silence)[..., None]], dim=-1)
        path = _best_path(strength, torch.log2(f0), frame_mask, 0.01 * self.sampling_rate / self.shift)
        voiced = (path < NUM_CANDIDATES) & frame_mask
        chosen = torch.where(voiced, path, strength[..., :-1].argmax(-1))[..., None]
        f0, height, h1_h2 = (values.gather(-1, chosen)[..., 0] for values in (f0, height, h1_h2))
        period, jitter, shimmer = self.sampling_rate / f0, torch.zeros_like(f0), torch.zeros_like(f0)
        cycles = self._perturbation(waveform, lengths, voiced, period[voiced], polarity[voiced], mean[voiced])
        jitter[voiced], shimmer[voiced] = cycles
        harmonic = height.clamp(1e-3, 1 - 1e-4)
        return {
            "f0_semitone": torch.where(voiced, 12 * torch.log2(f0 / 27.5), 0),
            "voiced": voiced.to(f0),
            "voicing_probability": height.clamp(0, 1),
            "jitter_local": jitter,
            "shimmer_local": shimmer,
            "hnr_db": torch.where(voiced, 10 * torch.log10(harmonic / (1 - harmonic)), 0),
            "h1_h2_db": torch.where(voiced, h1_h2, 0),
            "cpp_db": cpp,
        }

    def _pitch_candidates(self, frames: Tensor, real: Tensor) -> tuple[Tensor, ...]:
        """F0 candidates of pitch frames (B, t, samples), and what later steps need to know of the frame.

        Returns (B, t, K) F0 in Hz, height of the autocorrelation peak, strength, H1-H2 in dB and
        (B, t) cepstral peak prominence in dB, absolute peak, mean, polarity (1 or -1) of the waveform.
        """
        window, n_fft = self.pitch_window.to(frames), self.pitch_n_fft
        mean = (frames @ window) / (real @ window).clamp(min=FLOOR)
        frames = frames - mean[..., None] * real  # an offset would count as perfectly periodic
        peak = frames.abs().amax(-1)
        polarity = torch.where(frames.amax(-1) == peak, 1.0, -1.0).to(frames)
        power = _power(frames, window, n_fft)
        acf = torch.fft.irfft(power, n=2 * n_fft)[..., : self.lags.stop + 1]
        acf = acf / acf[..., :1].clamp(min=FLOOR / n_fft) * self.lag_gain.to(frames)
        left, top, right = (acf[..., self.lags.start + i : self.lags.stop + i] for i in (-1, 0, 1))
        lags = torch.arange(self.lags.start, self.lags.stop, device=frames.device)
        preference = -OCTAVE_COST * torch.log2(lags * (self.f0_min / (2 * self.sampling_rate))).to(frames)
        score = torch.where((top > left) & (top >= right), top + preference, -1)
        score, index = score.topk(NUM_CANDIDATES, dim=-1)
        offset, height = _parabola(*(values.gather(-1, index) for values in (left, top, right)))
        height = torch.where(height > 1, 1 / height, height)  # Boersma 1993: dividing by the window may overshoot
        strength = torch.where(score > -1, height + preference[index], -1)  # -1: no peak at all
        f0 = 2 * self.sampling_rate / (index + self.lags.start + offset)
        # levels at the harmonics' bins; their main lobe is wide enough for the highest of three bins
        harmonics = f0[..., None, None] * torch.tensor([[1.0], [2.0]], device=frames.device).to(frames)
        bins = (harmonics * n_fft / self.sampling_rate).round().long() + torch.arange(-1, 2, device=frames.device)
        levels = _decibel(power.gather(-1, bins.clamp(max=n_fft // 2).flatten(2)).view(bins.shape).amax(-1))
        h1_h2 = levels[..., 0] - levels[..., 1]
        start, stop = round(self.sampling_rate / 1000), math.ceil(self.sampling_rate / self.f0_min)
        cepstrum = 20 * torch.log10(torch.fft.irfft(_decibel(power), n=n_fft)[..., start:stop].abs() + 1e-3)
        quefrency = torch.arange(stop - start, device=frames.device).to(frames)
        trend = _slope(cepstrum, quefrency)[..., None] * (quefrency - quefrency.mean())
        prominence = cepstrum - cepstrum.mean(-1, keepdim=True) - trend
        cpp = prominence[..., max(0, round(self.sampling_rate / self.f0_max) - start) :].amax(-1)
        return f0, height, strength, h1_h2, cpp, peak, mean, polarity

    def _perturbation(
        self, waveform: Tensor, lengths: Tensor, voiced: Tensor, period: Tensor, polarity: Tensor, mean: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Local jitter and shimmer of N voiced frames from the peaks of the cycles in the pitch frame.

        From the highest peak near the centre, the peak of the next cycle is looked for one period on, in both
        directions, until the pitch frame or the clip ends. The frames are the True ones of `voiced` (B, T); `period`
        in samples, `polarity` (the sign of the peaks followed) and `mean` (an offset, not part of the amplitudes) are
        theirs (N,). Both results (N,) are 0 where the frame holds fewer than three comparable cycles.
        """
        if not len(period):
            return period, period
        smooth = F.conv1d(waveform[:, None], self.cycle_kernel.to(waveform)[None, None], padding="same").flatten()
        row, frame = voiced.nonzero(as_tuple=True)
        # positions count from the frame's centre: float32 could not tell the samples of a long clip apart
        centre, half = frame * self.shift, self.pitch_frame_length // 2
        base = row * waveform.shape[1] + centre
        first, last = (-centre).clamp(min=-half), (lengths[row] - 1 - centre).clamp(max=half)

        def highest(of: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
            """Position and amplitude of the highest point from `lower` to `upper` in the frames `of`."""
            start = lower.ceil().long()
            at = start[:, None] + torch.arange(int((upper - start).max()) + 1, device=start.device)
            values = smooth[(base[of, None] + at).clamp(max=len(smooth) - 1)] * polarity[of, None]
            best = start + values.masked_fill(at > upper[:, None], -math.inf).argmax(dim=-1)
            around = (best[:, None] + torch.arange(-1, 2, device=best.device)).clamp(first[of, None], last[of, None])
            offset, height = _parabola(*(smooth[base[of, None] + around] * polarity[of, None]).unbind(-1))
            return best + offset, height - polarity[of] * mean[of]

        most = math.ceil(half * self.f0_max / self.sampling_rate / (1 - CYCLE_TOLERANCE))
        # positions and amplitudes of the peaks, the seed in the middle, nan where the frame holds no more
        cycles = period.new_full((2, len(period), 2 * most + 1), math.nan)
        everyone = torch.arange(len(period), device=period.device)
        seed = highest(everyone, torch.maximum(-0.6 * period, first), torch.minimum(0.6 * period, last))
        cycles[:, :, most] = torch.stack(seed)
        for direction in (-1, 1):
            of, position = everyone, seed[0]
            for count in range(1, most + 1):
                lower = position + (direction - CYCLE_TOLERANCE) * period[of]
                upper = position + (direction + CYCLE_TOLERANCE) * period[of]
                inside = (lower >= first[of]) & (upper <= last[of])
                of, lower, upper = of[inside], lower[inside], upper[inside]
                if not len(of):
                    break
                position, amplitude = highest(of, lower, upper)
                cycles[:, of, most + direction * count] = torch.stack([position, amplitude])
        jitter = _local_change(cycles[0].diff(dim=-1), MAX_PERIOD_FACTOR)
        return jitter, _local_change(cycles[1], MAX_AMPLITUDE_FACTOR)


__all__ = ["AcousticFrontEnd"]
