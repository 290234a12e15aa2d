"""Spectral descriptors of short frames: differentiable, with the filterbank and its compression as arguments."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_av_emotion import AVEmotionAudioConfig
from .descriptors_av_emotion import VOICE_NAMES

FLOOR = 1e-12  # keeps divisions and roots finite
FRAMES_AT_ONCE = 256  # whose spectra fit in the cache


def raised_cosine(length: int, edge: float) -> np.ndarray:
    """Window (length,), maximal at sample `length // 2` and `edge` at its ends (Hann 0, Hamming 0.08)."""
    phase = 2 * np.pi * (np.arange(length) - length // 2) / length
    return (1 + edge) / 2 + (1 - edge) / 2 * np.cos(phase)


def fft_length(length: int) -> int:
    """Smallest of 2^k, 3 * 2^k and 5 * 2^k that is at least `length`."""
    return min(m * 2 ** max(0, math.ceil(math.log2(length / m))) for m in (1, 3, 5))


def scaled(window: np.ndarray, n_fft: int) -> np.ndarray:
    """The window scaled so that the bins of the power spectrum sum to the windowed mean square (Parseval)."""
    return window * math.sqrt(2 / (n_fft * np.sum(window**2)))


def power_of(spectrum: Tensor, out: Tensor | None = None) -> Tensor:
    """Squared magnitude. With `out` the spectrum is overwritten."""
    parts = torch.view_as_real(spectrum)  # contiguous, which `real` and `imag` are not
    parts = parts.square() if out is None else parts.square_()
    return torch.add(parts[..., 0], parts[..., 1], out=out)


def slope_of(values: Tensor, at: Tensor) -> Tensor:
    """Least-squares slope of `values` (..., N) over `at` (N,)."""
    at = at - at.mean()
    return values @ (at / (at @ at).clamp(min=FLOOR))


def frames_of(padded: Tensor, length: int, shift: int, reach: int) -> Tensor:
    """View (N, length) of the frames of clips (B, slots * shift) that have `reach * shift` zeros on both sides.

    Frame b * slots + t is centered on sample t * shift of clip b; the last `2 * reach` frames of a clip are not used.
    """
    return padded.flatten()[reach * shift - length // 2 :].unfold(0, length, shift)


def float32(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays as tensors on the CPU, whatever the default device."""
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}


class SpectralAnalysis(nn.Module):
    """The descriptors of the power spectrum P of short frames (Hamming window, Eyben et al. 2016).

    They are defined in [`AcousticFrontEnd`]. Gradients reach the waveform, the filterbank and the compression.
    """

    window: Tensor
    frequencies: Tensor
    equal_loudness: Tensor
    dct: Tensor
    sums: Tensor

    def __init__(self, config: AVEmotionAudioConfig, computed: tuple[str, ...]):
        super().__init__()
        self.wanted = frozenset(computed)
        self.sampling_rate = config.sampling_rate
        self.num_mel_bins = config.num_mel_bins
        self.mel_max_hz = config.mel_max_hz or config.sampling_rate / 2
        self.power_floor = 10 ** (config.power_floor_db / 10)
        self.shift, self.frame_length = (
            max(1, round(ms * config.sampling_rate / 1000)) for ms in (config.frame_shift_ms, config.frame_length_ms)
        )
        self.n_fft = config.fft_length or fft_length(self.frame_length)
        for name, value in self.initial_tensors().items():
            self.register_buffer(name, torch.empty(value.shape, dtype=value.dtype).copy_(value), persistent=False)

    def initial_filterbank(self) -> np.ndarray:
        """Triangles (bins, bands) on the HTK mel scale from 20 Hz; each spans at least one bin."""
        corners = self._corners()
        frequencies = np.arange(self.n_fft // 2 + 1) * self.sampling_rate / self.n_fft
        width, center = np.maximum(np.diff(corners), self.sampling_rate / self.n_fft), corners[1:-1]
        distance = frequencies[:, None] - center
        return np.maximum(0, 1 - np.maximum(-distance / width[:-1], distance / width[1:]))

    def _corners(self) -> np.ndarray:
        """Frequencies (bands + 2,) in Hz at which the triangles of the filterbank begin, peak and end."""
        low, high = 2595 * np.log10(1 + np.array([20, self.mel_max_hz]) / 700)
        return 700 * (10 ** (np.linspace(low, high, self.num_mel_bins + 2) / 2595) - 1)

    def initial_tensors(self) -> dict[str, Tensor]:
        """Values of every buffer by name, on the CPU whatever the default device."""
        frequencies = np.arange(self.n_fft // 2 + 1) * self.sampling_rate / self.n_fft
        omega2 = (2 * np.pi * self._corners()[1:-1]) ** 2
        equal_loudness = (omega2 + 56.8e6) * omega2**2 / ((omega2 + 6.3e6) ** 2 * (omega2 + 0.38e9))  # Hermansky 1990
        dct = np.cos(np.pi * np.arange(1, 5) * (np.arange(self.num_mel_bins)[:, None] + 0.5) / self.num_mel_bins)
        return float32(
            {
                "window": scaled(raised_cosine(self.frame_length, edge=0.08), self.n_fft),
                "frequencies": frequencies,
                "equal_loudness": np.cbrt(equal_loudness / equal_loudness.max()),
                "dct": dct * math.sqrt(2 / self.num_mel_bins),
                "sums": np.concatenate([np.zeros((len(frequencies), 0)), *self._sums(frequencies).values()], axis=1),
            }
        )

    def _sums(self, frequencies: np.ndarray) -> dict[str, np.ndarray]:
        """Weights (bins, n) of all sums over the bins, which are computed in one product with the filterbank."""
        sums = {}
        if "alpha_ratio_db" in self.wanted:
            bands = [self._bins(50, 1000), self._bins(1000, 5000)]
            inside = [np.isin(np.arange(len(frequencies)), np.r_[band]) for band in bands]
            sums["alpha"] = np.stack(inside, axis=1)
        if self.wanted & {"log_energy_db", "spectral_centroid"}:
            sums["moments"] = np.stack([np.ones_like(frequencies), frequencies], axis=1)
        return sums

    def _bins(self, low: float, high: float) -> slice:
        """Bins of the spectrum from `low` Hz to `high` Hz (exclusive); never empty."""
        start, stop = (math.ceil(f * self.n_fft / self.sampling_rate) for f in (low, high))
        return slice(min(start, self.n_fft // 2), max(start + 1, stop))

    def forward(self, padded: Tensor, reach: int, filterbank: Tensor, compression: Tensor) -> dict[str, Tensor]:
        """Selected descriptors (B, T) of clips by name.

        Args:
            padded: (B, (T + 2 * reach) * shift), the clips with zeros around them.
            reach: frames of zeros before each clip.
            filterbank: (bins, bands); negative weights count as 0.
            compression: (bands,), log of the power below which a band is compressed.
        """
        if self.wanted <= VOICE_NAMES:
            return {}
        frames, slots = frames_of(padded, self.frame_length, self.shift, reach), padded.shape[1] // self.shift
        # relu, not clamp: its gradient at 0 is 0, so that a band never grows beyond its triangle
        weights = torch.cat([torch.relu(filterbank), self.sums], dim=1).to(frames)
        scratch = None if frames.requires_grad else frames.new_zeros(FRAMES_AT_ONCE + 1, self.n_fft)
        # each block also has the frame before it, for the flux
        blocks = [
            self._block(frames[max(0, i - 1) : i + FRAMES_AT_ONCE], i > 0, weights, scratch)
            for i in range(0, len(frames), FRAMES_AT_ONCE)
        ]
        columns = self.columns({name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}, compression)
        missing = len(padded) * slots - len(frames)
        for name, column in columns.items():
            column = F.pad(column, (0, missing)).unflatten(0, (-1, slots))
            columns[name] = column[:, : slots - 2 * reach]
        if "spectral_flux" in columns:  # the first frame has no change
            columns["spectral_flux"] = F.pad(columns["spectral_flux"][:, 1:], (1, 0))
        return columns

    def _block(self, frames: Tensor, has_previous: bool, weights: Tensor, scratch: Tensor | None) -> dict[str, Tensor]:
        """What needs every bin of the spectra of frames (n, samples), the first of which may be the previous frame.

        The selected descriptors (n,), the two peaks (n, 2) of the Hammarberg index, and `sums`, the power times
        `weights`. `scratch` is zero after the samples of a frame.
        """
        window = self.window.to(frames)
        if scratch is None:
            power = power_of(torch.fft.rfft(frames * window, n=self.n_fft))
        else:
            torch.mul(frames, window, out=scratch[: len(frames), : self.frame_length])
            power = power_of(torch.fft.rfft(scratch[: len(frames)]))
        found = self.of_power(power, has_previous, weights)
        if "zero_crossing_rate" in self.wanted:
            positive = (frames[1:] if has_previous else frames).detach() > 0
            found["zero_crossing_rate"] = (positive[:, 1:] != positive[:, :-1]).to(frames).mean(-1)
        return found

    def of_power(self, power: Tensor, has_previous: bool, weights: Tensor) -> dict[str, Tensor]:
        """The part of [`_block`] that is computed from power spectra (n, bins)."""
        wanted = self.wanted
        found: dict[str, Tensor] = {}
        if "spectral_flux" in wanted:
            magnitude = torch.sqrt(power[:, self._bins(0, 5000)] + FLOOR)
            change = magnitude.diff(dim=0, prepend=None if has_previous else magnitude[:1])
            found["spectral_flux"] = torch.linalg.vector_norm(change, dim=-1) / math.sqrt(change.shape[-1])
        if has_previous:
            power = power[1:]
        found["sums"] = power @ weights
        if "hammarberg_index_db" in wanted:
            peaks = [power[:, self._bins(*band)].amax(-1) for band in ((0, 2000), (2000, 5000))]
            found["hammarberg_index_db"] = torch.stack(peaks, dim=-1)
        for low, high in ((0, 500), (500, 1500)):
            if f"slope_{low}_{high}" in wanted:
                band = self._bins(low, high)
                level = self._decibel(power[:, band])
                found[f"slope_{low}_{high}"] = slope_of(level, self.frequencies.to(power)[band])
            if f"egemaps_slope_{low}_{high}" in wanted:
                band = self._bins(low, high + 0.5 * self.sampling_rate / self.n_fft)
                peak = self.window.to(power).amax().square()
                slope = self._egemaps_slope(self.frequencies.to(power)[band])
                level = torch.log10(power[:, band] + peak * FLOOR)  # that of the window is removed below
                found[f"egemaps_slope_{low}_{high}"] = 10 * (level @ slope - peak.log10() * slope.sum())
        if "spectral_rolloff" in wanted:
            cumulated = power.detach().cumsum(-1)
            below = (cumulated < 0.85 * cumulated[:, -1:]).sum(-1)
            found["spectral_rolloff"] = self.frequencies.to(power)[below.clamp(max=self.n_fft // 2)]
        return found

    def columns(self, found: dict[str, Tensor], compression: Tensor) -> dict[str, Tensor]:
        """Selected descriptors (N,) by name, from what [`of_power`] found."""
        found = dict(found)
        sums = found.pop("sums")
        columns = self._from_sums(sums, compression.to(sums)) | found
        if "hammarberg_index_db" in columns:
            lower, upper = self._decibel(columns["hammarberg_index_db"]).unbind(-1)
            columns["hammarberg_index_db"] = lower - upper
        return columns

    def _from_sums(self, sums: Tensor, compression: Tensor) -> dict[str, Tensor]:
        """Selected descriptors (N,) that are computed from sums (N, n) over the bins."""
        wanted = self.wanted
        columns: dict[str, Tensor] = {}
        mel, sums = sums[:, : self.num_mel_bins], sums[:, self.num_mel_bins :]
        if any(name == "loudness" or name.startswith(("mfcc_", "log_mel_")) for name in wanted):
            log_mel = torch.log(torch.exp(compression) + mel)
            columns["loudness"] = torch.exp(log_mel / 3) @ self.equal_loudness.to(mel)
            mfcc = log_mel @ self.dct.to(mel)
            columns |= {f"mfcc_{i}": column for i, column in enumerate(mfcc.unbind(-1), 1)}
            columns |= {f"log_mel_{i:02d}": column for i, column in enumerate(log_mel.unbind(-1))}
        if "alpha_ratio_db" in wanted:
            bass, treble = self._decibel(sums[:, :2]).unbind(-1)
            columns["alpha_ratio_db"], sums = treble - bass, sums[:, 2:]
        if wanted & {"log_energy_db", "spectral_centroid"}:
            total, moment = sums[:, :2].unbind(-1)
            columns["log_energy_db"] = self._decibel(total)
            columns["spectral_centroid"] = moment / (total + FLOOR)
        return {name: column for name, column in columns.items() if name in wanted}

    @staticmethod
    def _egemaps_slope(frequencies: Tensor) -> Tensor:
        """Weights of the levels in the slope of eGeMAPSv02, a regression whose number of points is one too low.

        Hence the weights do not sum to zero, and a louder frame has a steeper slope.
        """
        center = frequencies.sum() / (len(frequencies) - 1)
        return (frequencies - center) / (frequencies @ (frequencies - center))

    def _decibel(self, power: Tensor) -> Tensor:
        return 10 * torch.log10(power + self.power_floor)


__all__ = ["SpectralAnalysis"]
