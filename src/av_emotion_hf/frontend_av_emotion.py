"""Acoustic front-end: from a waveform to named frame descriptors (CN112633263A, module 1).

Two parts that share one frame grid. The spectral part is differentiable and owns what module 3 trains: the filterbank,
its compression, and a gain and an offset per descriptor. The voice part (F0, voicing, HNR, jitter, shimmer, formants)
picks peaks, so it runs without gradient. Only what the configuration selects is computed.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_av_emotion import AVEmotionAudioConfig
from .cycles_av_emotion import perturbation, smooth_waveform
from .descriptors_av_emotion import DELTA, FORMANTS, VOICED_ONLY, select_descriptors
from .formants_av_emotion import formants
from .pitch_av_emotion import NUM_CANDIDATES, OCTAVE_COST, best_path, find_candidates, zoom

FLOOR = 1e-12  # keeps divisions and roots finite
MAX_AMPLITUDE = 1e6  # 30 times the scale of int16; beyond it a sample is an accident, and its power overflows soon
FRAMES_AT_ONCE = 512  # bounds the memory and stays in the cache
PITCH_BAND_HZ = 4000  # F0 is looked for below; HNR counts the noise of the whole band
PITCH_TAPER = 1  # power of the cosine that falls to zero there: no ringing beside a peak
LPC_RATE, LPC_ORDER = 11000, 10  # of the formants, as in Praat: five below 5.5 kHz
PRE_EMPHASIS_HZ = 50
FORMANT_BAND = 0.2  # the harmonics of a formant lie within this share of its frequency
DELTA_REACH = 2  # frames on both sides

OFFSET_BINS = 16  # as far as a constant offset spreads through the pitch window

PARAMETERS = ("filterbank", "compression", "gain", "offset")
STATISTICS = ("feature_mean", "feature_std")


FORMANT = {"h1_a3_db", *(name for name in VOICED_ONLY if name[:2] in ("f1", "f2", "f3"))}
VOICE = {*VOICED_ONLY, "voiced", "voicing_probability", "cpp_db"}


def _window(length: int, edge: float) -> np.ndarray:
    """Raised cosine, `edge` high at its ends (Hann 0, Hamming 0.08), whose maximum is sample `length // 2`."""
    phase = 2 * np.pi * (np.arange(length) - length // 2) / length
    return (1 + edge) / 2 + (1 - edge) / 2 * np.cos(phase)


def _fft_length(length: int) -> int:
    """Smallest of 2^k, 3 * 2^k, 5 * 2^k that is not below `length`."""
    return min(m * 2 ** max(0, math.ceil(math.log2(length / m))) for m in (1, 3, 5))


def _scaled(window: np.ndarray, n_fft: int) -> np.ndarray:
    """Window with which the power spectrum's bins sum to the windowed mean square of the frame (Parseval)."""
    return window * math.sqrt(2 / (n_fft * np.sum(window**2)))


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _slope(values: Tensor, at: Tensor) -> Tensor:
    """Least-squares slope of `values` (..., N) over `at` (N,)."""
    at = at - at.mean()
    return values @ (at / (at @ at).clamp(min=FLOOR))


def _neighbours(values: Tensor, reach: int) -> Tensor:
    """`values` (B, T, F) of `reach` frames before to `reach` after each frame (B, T, F, 2 * reach + 1), 0 outside."""
    return F.pad(values, (0, 0, reach, reach)).unfold(1, 2 * reach + 1, 1)


class AcousticFrontEnd(nn.Module):
    r"""Prosodic, voice-quality and spectral descriptors per frame, with the parameters that module 3 trains.

    Frame t is centred on sample t * shift; both windows, the spectral and the longer one for pitch, are centred there
    and reach into zeros at the ends of the clip. Levels are relative to full scale (a sample of 1). P is the power
    spectrum of the frame (Hamming window, Eyben et al. 2016), r the autocorrelation of the pitch frame (Hann window)
    divided by that of the window (Boersma 1993). Descriptors marked * exist in voiced frames only and are 0 elsewhere;
    those marked + are computed only where `descriptors` of the configuration names them.

    | descriptor | unit | definition | source |
    |---|---|---|---|
    | `loudness` | - | mel power, equal-loudness weights, cube root, summed | Hermansky 1990; Eyben et al. 2016 |
    | `log_energy_db` | dB | mean square of the windowed frame | Eyben et al. 2016 |
    | `f0_semitone` * | semitones from 27.5 Hz | lag of the peak of r on the smoothest path | Boersma 1993 |
    | `voiced` | 0 or 1 | the path prefers a peak of r to "unvoiced" | Boersma 1993 |
    | `voicing_probability` | 0 to 1 | height of the chosen, else the best peak of r below 4 kHz | Boersma 1993 |
    | `jitter_local` * | share | mean difference of neighbouring periods / mean period | Praat; Eyben et al. 2016 |
    | `shimmer_local` * | share | the same of the cycles' peak amplitudes | Praat; Eyben et al. 2016 |
    | `shimmer_local_db` *+ | dB | mean level difference of neighbouring cycles | Praat; Eyben et al. 2016 |
    | `hnr_db` * | dB | r / (1 - r) at the chosen peak, -30 to 40 | Boersma 1993 |
    | `h1_h2_db` * | dB | level of the first over the second harmonic | Eyben et al. 2016 |
    | `h1_a3_db` *+ | dB | level of the first over the highest harmonic of formant 3 | Eyben et al. 2016 |
    | `cpp_db` | dB | cepstral peak over the regression line from 1 ms on | Hillenbrand et al. 1994 |
    | `alpha_ratio_db` | dB | P in 1-5 kHz over P in 50 Hz-1 kHz | Eyben et al. 2016 |
    | `hammarberg_index_db` | dB | peak of P in 0-2 kHz over its peak in 2-5 kHz | Hammarberg et al. 1980 |
    | `slope_0_500`, `slope_500_1500` | dB/Hz | regression line of P in dB over frequency | Eyben et al. 2016 |
    | `egemaps_slope_0_500`, `..._500_1500` + | dB/Hz | the same with one point too few in the count | eGeMAPSv02 |
    | `spectral_flux` | amplitude | r.m.s. change of sqrt(P) below 5 kHz since the last frame | Eyben et al. 2016 |
    | `spectral_centroid` | Hz | mean frequency weighted by P | Peeters 2004 |
    | `spectral_rolloff` + | Hz | frequency below which 85 % of P lie | Peeters 2004 |
    | `zero_crossing_rate` + | share | neighbouring samples of different sign | Peeters 2004 |
    | `f1_frequency` ... `f3_frequency` *+ | Hz | angle of the roots of linear prediction | Makhoul 1975 |
    | `f1_bandwidth` ... `f3_bandwidth` *+ | Hz | distance of these roots from the unit circle | Makhoul 1975 |
    | `f1_amplitude_db` ... `f3_amplitude_db` *+ | dB | highest harmonic there over the first | Eyben et al. 2016 |
    | `mfcc_1` to `mfcc_4` | - | DCT-II of the log-mel bands | Davis and Mermelstein 1980 |
    | `log_mel_00` ... | ln power | log(exp(`compression`) + P @ `filterbank`) | CN112633263A (spectral descriptors) |
    | `delta_NAME` + | unit of NAME per frame | regression line over five frames | Young et al. 2006 |
    """

    def __init__(self, config: AVEmotionAudioConfig):
        super().__init__()
        self.sampling_rate = config.sampling_rate
        self.num_mel_bins = config.num_mel_bins
        self.mel_max_hz = config.mel_max_hz or config.sampling_rate / 2
        self.mel_floor = 10 ** (config.mel_floor_db / 10)
        self.power_floor = 10 ** (config.power_floor_db / 10)
        self.f0_min, self.f0_max = config.f0_min, config.f0_max
        self.voicing_threshold = config.voicing_threshold
        self.silence = 10 ** (config.silence_db / 20)
        self.smoothing_frames = config.smoothing_frames
        self.shift, self.frame_length, self.pitch_frame_length = (
            max(1, round(ms * config.sampling_rate / 1000))
            for ms in (config.frame_shift_ms, config.frame_length_ms, config.pitch_frame_length_ms)
        )
        self.n_fft = config.fft_length or _fft_length(self.frame_length)
        # long enough for the autocorrelation not to wrap around at the longest lag
        self.pitch_n_fft = _fft_length(self.pitch_frame_length + math.ceil(self.sampling_rate / self.f0_min) + 2)
        # the lags at which F0 is looked for, dense enough for a parabola through the narrowest peak the band allows
        self.lag_step = 1 / (3.2 * min(PITCH_BAND_HZ, self.sampling_rate / 2))
        self.lags = range(
            math.ceil(1 / (self.f0_max * self.lag_step)), math.floor(1 / (self.f0_min * self.lag_step)) + 1
        )
        self.lpc_rate = min(LPC_RATE, self.sampling_rate)
        self.families = select_descriptors(config.descriptors, config.num_mel_bins, config.deltas)
        self.descriptor_names = tuple(name for family in self.families.values() for name in family)
        self.computed = tuple(name for name in self.descriptor_names if not name.startswith(DELTA))
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
        pitch_frequencies = np.arange(self.pitch_n_fft // 2 + 1) * self.sampling_rate / self.pitch_n_fft
        # triangles on the HTK mel scale from 20 Hz; none so narrow that it falls between two bins
        ends = 2595 * np.log10(1 + np.array([20, self.mel_max_hz]) / 700)
        corners = 700 * (10 ** (np.linspace(*ends, self.num_mel_bins + 2) / 2595) - 1)
        width, centre = np.maximum(np.diff(corners), self.sampling_rate / self.n_fft), corners[1:-1]
        distance = frequencies[:, None] - centre
        filterbank = 1 - np.maximum(-distance / width[:-1], distance / width[1:])
        omega2 = (2 * np.pi * centre) ** 2
        equal_loudness = (omega2 + 56.8e6) * omega2**2 / ((omega2 + 6.3e6) ** 2 * (omega2 + 0.38e9))  # Hermansky 1990
        dct = np.cos(np.pi * np.arange(1, 5) * (np.arange(self.num_mel_bins)[:, None] + 0.5) / self.num_mel_bins)

        pitch_window = _scaled(_window(self.pitch_frame_length, edge=0), self.pitch_n_fft)
        window_power = np.abs(np.fft.rfft(pitch_window, self.pitch_n_fft)) ** 2
        # Boersma 1993: the window's own decay, undone; at a quarter of a sample, for the exact peak
        window_acf = np.fft.irfft(window_power, 4 * self.pitch_n_fft)
        lag_gain = window_acf[0] / window_acf[: math.ceil(4 * self.sampling_rate / self.f0_min) + 16]
        lags = np.array([0, *range(self.lags.start - 2, self.lags.stop + 2)]) * self.lag_step
        low = pitch_frequencies < PITCH_BAND_HZ
        taper = np.cos(np.pi / 2 * pitch_frequencies[low, None] / PITCH_BAND_HZ) ** PITCH_TAPER
        acf_basis = taper * np.cos(2 * np.pi * pitch_frequencies[low, None] * lags)
        acf_basis *= np.interp(lags, np.arange(len(lag_gain)) / (4 * self.sampling_rate), lag_gain)
        inside = frequencies < self.lpc_rate / 2
        lpc_basis = np.cos(2 * np.pi * frequencies[inside, None] * np.arange(LPC_ORDER + 1) / self.lpc_rate)
        # the autocorrelation after the pre-emphasis 1 - a / z
        a = math.exp(-2 * math.pi * PRE_EMPHASIS_HZ / self.lpc_rate)
        emphasis = 1 + a * a - 2 * a * np.cos(2 * np.pi * frequencies[inside] / self.lpc_rate)
        lpc_basis *= emphasis[:, None]
        offset_response = np.fft.rfft(pitch_window, self.pitch_n_fft)
        arrays = {
            "filterbank": np.maximum(0, filterbank),
            "compression": np.full(self.num_mel_bins, math.log(self.mel_floor)),
            "gain": np.ones(num_descriptors),
            "offset": np.zeros(num_descriptors),
            "feature_mean": np.zeros(num_descriptors),
            "feature_std": np.ones(num_descriptors),
            "window": _scaled(_window(self.frame_length, edge=0.08), self.n_fft),
            "frequencies": frequencies,
            "equal_loudness": np.cbrt(equal_loudness / equal_loudness.max()),
            "dct": dct * math.sqrt(2 / self.num_mel_bins),
            "pitch_window": pitch_window,
            "pitch_frequencies": pitch_frequencies,
            "offset_response": np.stack([offset_response.real, offset_response.imag], axis=-1)[:OFFSET_BINS]
            / offset_response[0].real,
            "acf_basis": acf_basis,
            "lag_preference": -OCTAVE_COST * np.log2(np.array(self.lags) * self.lag_step * self.f0_min),
            "lag_gain": lag_gain,
            "lpc_basis": lpc_basis,
        }
        tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        voiced_only = [name.removeprefix(DELTA) in VOICED_ONLY for name in self.descriptor_names]
        tensors["voiced_only"] = torch.from_numpy(np.array(voiced_only))
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
        for name in ("voiced", "f0_semitone"):
            if name in self.descriptor_names:
                voiced = input_features[..., self.descriptor_names.index(name)] > 0.5
                return ~self.voiced_only | voiced[..., None]
        return torch.ones_like(input_features, dtype=torch.bool)  # nothing selected depends on it

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
            columns = self._spectral_columns(waveform)
            columns |= self._voice_columns(waveform, lengths, frame_mask, columns.pop("lpc_acf", None))
            features = self._over_time(columns, frame_mask)
        return features.masked_fill(~frame_mask[..., None], 0), frame_mask

    def _over_time(self, columns: dict[str, Tensor], frame_mask: Tensor) -> Tensor:
        """Columns (B, T) by name to features (B, T, F), smoothed and with their slopes over time where selected.

        A neighbour counts where it is a frame of the clip and, for descriptors of voiced frames, voiced.
        """
        features = torch.stack([columns[name] for name in self.computed], dim=-1)
        deltas = len(self.computed) < len(self.descriptor_names)
        if self.smoothing_frames == 1 and not deltas:
            return features
        voiced_only = torch.tensor([name in VOICED_ONLY for name in self.computed], device=features.device)
        defined = frame_mask[..., None] & (~voiced_only | (columns["voiced"] > 0)[..., None])
        if self.smoothing_frames > 1:
            reach, weight = self.smoothing_frames // 2, defined.to(features)
            total = _neighbours(features * weight, reach).sum(-1)
            count = _neighbours(weight, reach).sum(-1)
            smoothed = total / count.clamp(min=1)
            step = [name == "voiced" for name in self.computed]
            smoothed = torch.where(torch.tensor(step, device=features.device), features, smoothed)
            features = smoothed * weight
        if not deltas:
            return features
        around = _neighbours(features, DELTA_REACH)
        around = torch.where(_neighbours(defined.to(features), DELTA_REACH) > 0, around, features[..., None])
        at = torch.arange(-DELTA_REACH, DELTA_REACH + 1, device=features.device).to(features)
        slopes = _slope(around, at) * defined
        columns = dict(zip(self.computed, features.unbind(-1), strict=True))
        columns |= {DELTA + name: slope for name, slope in zip(self.computed, slopes.unbind(-1), strict=True)}
        return torch.stack([columns[name] for name in self.descriptor_names], dim=-1)

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
        ends = torch.stack(torch.aminmax(waveform.detach())) if waveform.numel() else waveform.new_zeros(2)
        if not (ends.abs() < MAX_AMPLITUDE).all():  # also where they are nan
            sound = waveform.detach().abs() < MAX_AMPLITUDE
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
        """Selected descriptors (B, T) of the spectrum; gradients reach the waveform, filterbank and compression."""
        if not set(self.computed) - VOICE | set(self.computed) & FORMANT:
            return {}
        frames = self._frames(waveform, self.frame_length)
        step, count = max(1, FRAMES_AT_ONCE // len(waveform)), frames.shape[1]
        # each block has the frame before it as well, for the flux
        parts = [self._spectral_block(frames[:, max(0, i - 1) : i + step], i > 0) for i in range(0, count, step)]
        return {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}

    def _spectral_block(self, frames: Tensor, has_previous: bool) -> dict[str, Tensor]:
        """Selected descriptors (B, t) of frames (B, t, samples); not of the first where that is the previous one."""
        wanted, columns = set(self.computed), {}
        power = _power(torch.fft.rfft(frames * self.window.to(frames), n=self.n_fft))
        if "spectral_flux" in wanted:
            magnitude = torch.sqrt(power[..., self._bins(0, 5000)] + FLOOR)
            change = magnitude.diff(dim=1, prepend=None if has_previous else magnitude[:, :1])
            columns["spectral_flux"] = torch.linalg.vector_norm(change, dim=-1) / math.sqrt(change.shape[-1])
        if has_previous:
            power, frames = power[:, 1:], frames[:, 1:]
        if any(name == "loudness" or name.startswith(("mfcc_", "log_mel_")) for name in wanted):
            # relu and not clamp: it passes no gradient at 0, so that a band never grows beyond its triangle
            mel = power @ torch.relu(self.filterbank.to(frames))
            log_mel = torch.log(torch.exp(self.compression.to(frames)) + mel)
            columns["loudness"] = torch.exp(log_mel / 3) @ self.equal_loudness.to(frames)
            mfcc = log_mel @ self.dct.to(frames)
            columns |= {f"mfcc_{i}": column for i, column in enumerate(mfcc.unbind(-1), 1)}
            columns |= {f"log_mel_{i:02d}": column for i, column in enumerate(log_mel.unbind(-1))}
        if "alpha_ratio_db" in wanted:
            bass, treble = (power[..., self._bins(*band)].sum(-1) for band in ((50, 1000), (1000, 5000)))
            columns["alpha_ratio_db"] = self._decibel(treble) - self._decibel(bass)
        if "hammarberg_index_db" in wanted:
            lower, upper = (power[..., self._bins(*band)].amax(-1) for band in ((0, 2000), (2000, 5000)))
            columns["hammarberg_index_db"] = self._decibel(lower) - self._decibel(upper)
        for low, high in ((0, 500), (500, 1500)):
            if f"slope_{low}_{high}" in wanted:
                band = self._bins(low, high)
                columns[f"slope_{low}_{high}"] = _slope(
                    self._decibel(power[..., band]), self.frequencies.to(frames)[band]
                )
            if f"egemaps_slope_{low}_{high}" in wanted:
                band = self._bins(low, high + 0.5 * self.sampling_rate / self.n_fft)
                unscaled = power[..., band] / self.window.to(frames).amax().square()
                slope = 10 * torch.log10(unscaled + FLOOR) @ self._egemaps_slope(self.frequencies.to(frames)[band])
                columns[f"egemaps_slope_{low}_{high}"] = slope
        if wanted & {"log_energy_db", "spectral_centroid", "spectral_rolloff"}:
            total = power.sum(-1)
            columns["log_energy_db"] = self._decibel(total)
            columns["spectral_centroid"] = (power @ self.frequencies.to(frames)) / (total + FLOOR)
        if "spectral_rolloff" in wanted:
            below = (power.detach().cumsum(-1) < 0.85 * total.detach()[..., None]).sum(-1)
            columns["spectral_rolloff"] = self.frequencies.to(frames)[below.clamp(max=self.n_fft // 2)]
        if "zero_crossing_rate" in wanted:
            positive = frames.detach() > 0
            columns["zero_crossing_rate"] = (positive[..., 1:] != positive[..., :-1]).to(frames).mean(-1)
        columns = {name: column for name, column in columns.items() if name in wanted}
        if wanted & FORMANT:
            columns["lpc_acf"] = power[..., : len(self.lpc_basis)].detach() @ self.lpc_basis.to(frames)
        return columns

    @staticmethod
    def _egemaps_slope(frequencies: Tensor) -> Tensor:
        """Weights of the levels in the slope of eGeMAPSv02: a regression whose count of points is one too low.

        So the weights do not sum to zero, and a louder frame has a steeper slope.
        """
        centre = frequencies.sum() / (len(frequencies) - 1)
        return (frequencies - centre) / (frequencies @ (frequencies - centre))

    def _decibel(self, power: Tensor) -> Tensor:
        return 10 * torch.log10(power + self.power_floor)

    @torch.no_grad()
    def _voice_columns(
        self, waveform: Tensor, lengths: Tensor, frame_mask: Tensor, lpc_acf: Tensor | None
    ) -> dict[str, Tensor]:
        """Selected descriptors (B, T) of pitch, voice quality and formants."""
        wanted = set(self.computed)
        if not wanted & VOICE:
            return {}
        frames = self._frames(waveform, self.pitch_frame_length)
        row, frame = self._audible(waveform, frame_mask).nonzero(as_tuple=True)
        blank = torch.zeros_like(frame_mask, dtype=waveform.dtype)
        if not len(row):
            return dict.fromkeys(wanted & VOICE | {"voiced"}, blank)
        scratch = waveform.new_zeros(FRAMES_AT_ONCE, self.pitch_n_fft)  # zeros after the frames stay zeros
        blocks = [
            self._pitch_block(frames[of], scratch)
            for of in zip(row.split(FRAMES_AT_ONCE), frame.split(FRAMES_AT_ONCE), strict=True)
        ]
        lag, height, strength, mean, cpp = (torch.cat(parts) for parts in list(zip(*blocks, strict=True))[:-1])
        # what is not audible is unvoiced
        shape = (*frame_mask.shape, NUM_CANDIDATES + 1)
        all_strength = strength.new_tensor([-1.0] * NUM_CANDIDATES + [self.voicing_threshold + 2]).expand(shape)
        all_strength = all_strength.clone().index_put_((row, frame), strength)
        octave = lag.new_zeros(*frame_mask.shape, NUM_CANDIDATES).index_put_((row, frame), -torch.log2(lag))
        path = best_path(all_strength, octave, frame_mask, 0.01 * self.sampling_rate / self.shift)[row, frame]
        voiced = path < NUM_CANDIDATES
        chosen = torch.where(voiced, path, strength[:, :-1].argmax(-1))[:, None]
        lag, height = (values.gather(-1, chosen)[:, 0] for values in (lag, height))
        columns = {
            "voiced": blank.index_put((row, frame), voiced.to(lag)),
            "voicing_probability": blank.index_put((row, frame), height.clamp(0, 1)),
            "cpp_db": blank.index_put((row, frame), cpp),
        }
        powers = [block[-1][of] for block, of in zip(blocks, voiced.split(FRAMES_AT_ONCE), strict=True)]
        row, frame = row[voiced], frame[voiced]
        lpc_acf = None if lpc_acf is None else lpc_acf[row, frame]
        found = self._voice_quality(powers, lag[voiced], lpc_acf)
        if wanted & {"jitter_local", "shimmer_local", "shimmer_local_db"}:
            smooth = smooth_waveform(waveform, self.sampling_rate)
            period = self.sampling_rate / found["f0"]
            found |= perturbation(smooth, row, frame * self.shift, lengths[row], period, mean[voiced])
        for name in wanted & set(VOICED_ONLY):
            columns[name] = blank.index_put((row, frame), found[name])
        return columns

    def _audible(self, waveform: Tensor, frame_mask: Tensor) -> Tensor:
        """Which frames (B, T) may be above the level of silence; the others need no search for pitch.

        All are kept where a descriptor of every frame is selected.
        """
        if {"voicing_probability", "cpp_db"} & set(self.computed):
            return frame_mask
        # mean square of the parts of the frame, each with the highest weight that the window has there
        count, reach = frame_mask.shape[1], -(-self.pitch_frame_length // (2 * self.shift))
        parts = F.pad(waveform, (reach * self.shift, (count + reach) * self.shift - waveform.shape[1]))
        parts = parts.view(len(waveform), -1, self.shift).square().sum(-1)
        window = self.pitch_window.to(waveform).square() * (self.pitch_n_fft / 2)
        weights = F.pad(window, (0, 2 * reach * self.shift - len(window))).view(-1, self.shift).amax(-1)
        weights = torch.maximum(weights, weights.flip(0))
        bound = parts.unfold(1, 2 * reach, 1)[:, :count] @ weights
        return frame_mask & (bound > (0.5 * self.silence) ** 2)

    def _pitch_block(self, frames: Tensor, scratch: Tensor) -> tuple[Tensor, ...]:
        """What pitch frames (N, samples) say on their own; `scratch` holds zeros (at least N, n_fft).

        Returns (N, K) lag in seconds, height and strength of the F0 candidates, strength also of "unvoiced";
        (N,) mean of the waveform and cepstral peak prominence in dB; (N, bins) power spectrum.
        """
        padded = scratch[: len(frames)]
        torch.mul(frames, self.pitch_window.to(frames), out=padded[:, : frames.shape[1]])
        spectrum = torch.fft.rfft(padded)
        offset = spectrum.real[..., :1].clone()  # it would count as perfectly periodic
        response = torch.view_as_complex(self.offset_response.to(frames))
        spectrum[..., : len(response)] -= offset * response
        power = _power(spectrum)
        acf = power[..., : len(self.acf_basis)] @ self.acf_basis.to(frames)
        acf = acf[..., 1:] / acf[..., :1].clamp(min=1e-30)
        lag, height, strength = find_candidates(acf, self.lags.start, self.lag_preference.to(frames))
        loud = power.sum(-1, keepdim=True).sqrt()
        silence = (2 - 2 * loud / self.silence).clamp(min=0)
        strength = torch.cat([strength, self.voicing_threshold + silence], dim=-1)
        mean = offset[..., 0] / self.pitch_window.to(frames).sum()
        cpp = self._cepstral_peak(power) if "cpp_db" in self.computed else mean
        return lag * self.lag_step, height, strength, mean, cpp, power

    def _cepstral_peak(self, power: Tensor) -> Tensor:
        """Cepstral peak prominence (...) of power spectra (..., bins), in dB."""
        start, stop = round(self.sampling_rate / 1000), math.ceil(self.sampling_rate / self.f0_min)
        cepstrum = torch.fft.irfft(self._decibel(power), n=self.pitch_n_fft)[..., start:stop]
        cepstrum = 20 * torch.log10(cepstrum.abs() + 1e-3)
        quefrency = torch.arange(stop - start, device=power.device).to(power)
        trend = _slope(cepstrum, quefrency)[..., None] * (quefrency - quefrency.mean())
        prominence = cepstrum - cepstrum.mean(-1, keepdim=True) - trend
        return prominence[..., max(0, round(self.sampling_rate / self.f0_max) - start) :].amax(-1)

    def _voice_quality(self, powers: list[Tensor], lag: Tensor, lpc_acf: Tensor | None) -> dict[str, Tensor]:
        """Descriptors (N,) of voiced frames.

        From the power spectra of their pitch frames in blocks (n, bins), their lags (N,) in seconds, and the
        autocorrelations (N, p + 1) of their pre-emphasised short frames.
        """
        frequency, bandwidth = lag.new_zeros(2, len(lag), 0)
        if lpc_acf is not None:
            frequency, bandwidth = formants(lpc_acf, self.lpc_rate, len(FORMANTS))
        sizes = [len(power) for power in powers]
        blocks = zip(powers, lag.split(sizes), frequency.split(sizes), strict=True)
        f0, harmonic, h1, h2, level = (
            torch.cat(parts) for parts in zip(*(self._harmonics(*block) for block in blocks), strict=True)
        )
        found = {
            "f0": f0,
            "f0_semitone": 12 * torch.log2(f0 / 27.5),
            "hnr_db": 10 * torch.log10(harmonic / (1 - harmonic)),
            "h1_h2_db": h1 - h2,
        }
        if lpc_acf is not None:
            found["h1_a3_db"] = h1 - level[:, 2]
            for i, values in enumerate(zip(frequency.T, bandwidth.T, (level - h1[:, None]).T, strict=True), 1):
                found |= dict(zip((f"f{i}_frequency", f"f{i}_bandwidth", f"f{i}_amplitude_db"), values, strict=True))
        return found

    def _harmonics(self, power: Tensor, lag: Tensor, formants: Tensor) -> tuple[Tensor, ...]:
        """What power spectra (n, bins) of voiced frames hold at lags (n,) and formants (n, F).

        Returns (n,) F0 in Hz, share of the power that is periodic, level in dB of the first two harmonics, and (n, F)
        level of the highest harmonic in each formant.
        """
        quarter = torch.arange(-8, 9, device=power.device).to(power) / (4 * self.sampling_rate)
        lag, height = zoom(power, lag, self.pitch_frequencies.to(power), quarter, self.lag_gain.to(power))
        height = torch.where(height > 1, 1 / height, height)  # Boersma 1993: undoing the window may overshoot
        f0 = 1 / lag
        h1, h2 = self._level(power, f0[:, None] * torch.tensor([1.0, 2.0], device=f0.device).to(f0), 0).unbind(-1)
        return f0, height.clamp(1e-3, 1 - 1e-4), h1, h2, self._level(power, formants, FORMANT_BAND)

    def _level(self, power: Tensor, frequency: Tensor, band: float) -> Tensor:
        """Level in dB of the highest bin of `power` (N, bins) around frequencies (N, n), within the share `band`."""
        at = frequency / (self.sampling_rate / self.pitch_n_fft)
        spread = torch.linspace(-1, 1, 65 if band else 3, device=power.device).to(power)
        bins = at[..., None] + spread * (at[..., None] * band if band else 1)
        bins = bins.round().long().clamp(0, power.shape[-1] - 1)
        return self._decibel(power.gather(-1, bins.flatten(1)).unflatten(1, bins.shape[1:]).amax(-1))


__all__ = ["AcousticFrontEnd"]
