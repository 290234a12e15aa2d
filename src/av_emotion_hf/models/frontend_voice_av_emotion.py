"""Descriptors of the voice: F0, voicing, harmonicity, perturbation, harmonics and formants, without gradient."""

import bisect
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_av_emotion import AVEmotionAudioConfig
from .descriptors_av_emotion import FORMANT_NAMES, FORMANTS, VOICE_NAMES, VOICED_ONLY
from .frontend_formants_av_emotion import TABLE_HZ, discrete_all_pole, formants, harmonic_table
from .frontend_perturbation_av_emotion import Bell, perturbation
from .frontend_pitch_av_emotion import (
    LAG_GROUP,
    NUM_CANDIDATES,
    OCTAVE_COST,
    VOICING_CHANGE_COST,
    ZOOM_BINS,
    best_path,
    find_candidates,
    zoom,
)
from .frontend_spectral_av_emotion import (
    fft_length,
    float32,
    frames_of,
    power_of,
    raised_cosine,
    scaled,
    slope_of,
)

FFTS_AT_ONCE, FRAMES_AT_ONCE = 128, 512  # whose spectra and whose correlations fit in the cache
PITCH_BAND_HZ = 4000  # F0 is searched for below; HNR counts the noise of the whole band
PITCH_TAPER = 1  # power of the cosine that falls to zero there and avoids ringing beside a peak
LPC_RATE, LPC_ORDER = 11000, 10  # of the formants, as in Praat: five below 5.5 kHz
PRE_EMPHASIS_HZ = 50
FORMANT_BAND = 0.2  # the harmonics of a formant lie within this fraction of its frequency
OFFSET_BINS = 16  # over which the pitch window spreads a constant offset


def _highest_of_eight(power: Tensor) -> Tensor:
    """The highest (N, bins - 7) of each bin and the next seven of `power` (N, bins)."""
    for step in (1, 2, 4):
        power = torch.maximum(power[:, :-step], power[:, step:])
    return power


class VoiceAnalysis(nn.Module):
    """The descriptors that need the pitch of long frames; they are defined in [`AcousticFrontEnd`]."""

    window: Tensor
    offset_response: Tensor
    harmonic_table: Tensor
    acf_basis: Tensor
    lag_preference: Tensor
    lag_gain: Tensor

    def __init__(self, config: AVEmotionAudioConfig, computed: tuple[str, ...]):
        super().__init__()
        self.wanted = frozenset(computed)
        self.sampling_rate = config.sampling_rate
        self.power_floor = 10 ** (config.power_floor_db / 10)
        self.f0_min, self.f0_max = config.f0_min, config.f0_max
        self.voicing_threshold = config.voicing_threshold
        self.silence = 10 ** (config.silence_db / 20)
        self.shift, self.frame_length = (
            max(1, round(ms * config.sampling_rate / 1000))
            for ms in (config.frame_shift_ms, config.pitch_frame_length_ms)
        )
        # long enough for the autocorrelation not to wrap around at the longest lag
        self.n_fft = fft_length(self.frame_length + math.ceil(self.sampling_rate / self.f0_min) + 2)
        # the lags at which F0 is searched for, dense enough for a parabola through the narrowest peak of this band
        self.lag_step = 1 / (3.2 * min(PITCH_BAND_HZ, self.sampling_rate / 2))
        self.lags = range(
            math.ceil(1 / (self.f0_max * self.lag_step)), math.floor(1 / (self.f0_min * self.lag_step)) + 1
        )
        # power spectra are padded with zeros
        self.bins = -(-(self.n_fft // 2 + 1) // ZOOM_BINS) * ZOOM_BINS
        self.lpc_rate = min(LPC_RATE, self.sampling_rate)
        self.bell = Bell(self.sampling_rate)
        for name, value in self.initial_tensors().items():
            self.register_buffer(name, torch.empty(value.shape, dtype=value.dtype).copy_(value), persistent=False)

    def initial_tensors(self) -> dict[str, Tensor]:
        """Values of every buffer by name, on the CPU whatever the default device."""
        frequencies = np.arange(self.n_fft // 2 + 1) * self.sampling_rate / self.n_fft
        window = scaled(raised_cosine(self.frame_length, edge=0), self.n_fft)
        # Boersma 1993: undoes the window's own decay; every quarter of a sample, for the exact peak
        window_acf = np.fft.irfft(np.abs(np.fft.rfft(window, self.n_fft)) ** 2, 4 * self.n_fft)
        lag_gain = window_acf[0] / window_acf[: math.ceil(4 * self.sampling_rate / self.f0_min) + 16]
        lags = np.array([0, *range(self.lags.start - 2, self.lags.stop + 2)]) * self.lag_step
        low = frequencies < PITCH_BAND_HZ
        taper = np.cos(np.pi / 2 * frequencies[low, None] / PITCH_BAND_HZ) ** PITCH_TAPER
        acf_basis = taper * np.cos(2 * np.pi * frequencies[low, None] * lags)
        acf_basis *= np.interp(lags, np.arange(len(lag_gain)) / (4 * self.sampling_rate), lag_gain)
        preference = -OCTAVE_COST * np.log2(np.array(self.lags) * self.lag_step * self.f0_min)
        spare = -len(preference) % LAG_GROUP
        response = np.fft.rfft(window, self.n_fft)
        return float32(
            {
                "window": window,
                "offset_response": np.stack([response.real, response.imag], axis=-1)[:OFFSET_BINS] / response[0].real,
                "harmonic_table": harmonic_table(self.lpc_rate, LPC_ORDER),
                "acf_basis": np.pad(acf_basis, ((0, 0), (0, spare))).T,
                "lag_preference": np.pad(preference, (0, spare), constant_values=-1e3),
                "lag_gain": lag_gain,
            }
        )

    @torch.no_grad()
    def forward(self, padded: Tensor, reach: int, lengths: Tensor, frame_mask: Tensor) -> dict[str, Tensor]:
        """Selected descriptors (B, T) of pitch, voice quality and formants by name, and `voiced`.

        Args:
            padded: (B, (T + 2 * reach) * shift), the clips with zeros around them.
            reach: frames of zeros before each clip.
            lengths: (B,), samples of each clip.
            frame_mask: (B, T), which frames are real.
        """
        wanted = self.wanted
        if not wanted & VOICE_NAMES:
            return {}
        row, frame = self._audible(padded, reach, frame_mask).nonzero(as_tuple=True)
        blank = torch.zeros_like(frame_mask, dtype=padded.dtype)
        if not len(row):
            return dict.fromkeys(wanted & VOICE_NAMES | {"voiced"}, blank)
        frames, slots = frames_of(padded, self.frame_length, self.shift, reach), padded.shape[1] // self.shift
        change = VOICING_CHANGE_COST * 0.01 * self.sampling_rate / self.shift
        scratch = (
            padded.new_zeros(FFTS_AT_ONCE, self.n_fft),  # zeros after the frames stay zeros
            padded.new_zeros(FRAMES_AT_ONCE, self.bins),
        )
        blocks = [
            self._pitch_block(frames, index, scratch, 2 * change)
            for index in (row * slots + frame).split(FRAMES_AT_ONCE)
        ]
        *found_in_blocks, possible_in_blocks, powers = zip(*blocks, strict=True)
        lag, height, strength = (torch.cat(parts, dim=1).T for parts in found_in_blocks[:3])
        mean, cpp, possible = (torch.cat(parts) for parts in (*found_in_blocks[3:], possible_in_blocks))
        # inaudible frames are unvoiced
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
        # from here on the frames that may be voiced, and at the end those that are
        row, frame, voiced = row[possible], frame[possible], voiced[possible]
        found = self.quality(powers, lag[possible])
        row, frame = row[voiced], frame[voiced]
        found = {name: values[voiced] for name, values in found.items()}
        if wanted & {"jitter_local", "shimmer_local", "shimmer_local_db"}:
            center, period = (row * slots + frame + reach) * self.shift, self.sampling_rate / found["f0"]
            clip = -frame * self.shift, lengths[row] - 1 - frame * self.shift
            found |= perturbation(padded.flatten(), self.bell, center, *clip, period, mean[possible][voiced])
        for name in wanted & set(VOICED_ONLY):
            columns[name] = blank.index_put((row, frame), found[name])
        return columns

    def _audible(self, padded: Tensor, reach: int, frame_mask: Tensor) -> Tensor:
        """Which frames (B, T) may be above the level of silence; the others need no pitch search.

        All are kept if a descriptor of every frame is selected.
        """
        if {"voicing_probability", "cpp_db"} & self.wanted:
            return frame_mask
        # sum of squares of the parts of the frame, each weighted by the maximum of the window there
        parts = torch.linalg.vector_norm(padded.view(len(padded), -1, self.shift), dim=-1).square()
        window = self.window.to(padded).square() * (self.n_fft / 2)
        # the frame's center is the start of a part
        window = F.pad(window, (reach * self.shift - self.frame_length // 2, 0))
        weights = F.pad(window, (0, 2 * reach * self.shift - len(window))).view(-1, self.shift).amax(-1)
        bound = parts.unfold(1, 2 * reach, 1)[:, : frame_mask.shape[1]] @ weights
        return frame_mask & (bound > (0.5 * self.silence) ** 2)

    def _pitch_block(
        self, frames: Tensor, index: Tensor, scratch: tuple[Tensor, Tensor], margin: float
    ) -> tuple[Tensor, ...]:
        """Analysis of the pitch frames `index` (n,) of `frames` (N, samples), each on its own.

        Returns (K, n) lag in seconds, height and strength of the F0 candidates, strength also of "unvoiced"; (n,) mean
        of the waveform and cepstral peak prominence in dB; which frames (n,) may be voiced, as a candidate of theirs
        comes within `margin` of "unvoiced"; and the power spectra (m, bins) of these.
        """
        padded, power = scratch[0], scratch[1][: len(index)]
        bins, window = self.n_fft // 2 + 1, self.window.to(frames)
        response = self.offset_response.to(frames)
        offset = frames.new_empty(len(index))
        # consecutive frames are read in place; on a GPU one copy is cheaper than many calls
        runs = [0, *(index.diff().ne(1).nonzero()[:, 0] + 1).tolist(), len(index)] if not index.is_cuda else []
        at = index[runs[:-1]].tolist() if runs else []
        for start in range(0, len(index), FFTS_AT_ONCE):  # they fit in the cache
            stop = min(start + FFTS_AT_ONCE, len(index))
            part = padded[: stop - start, : self.frame_length]
            if index.is_cuda:
                torch.mul(frames[index[start:stop]], window, out=part)
            inside = slice(max(0, bisect.bisect_right(runs, start) - 1), bisect.bisect_left(runs, stop))
            for first, begin, end in zip(at[inside], runs[inside], runs[1:][inside], strict=True):
                first, begin, end = first + max(0, start - begin), max(begin, start), min(end, stop)
                torch.mul(frames[first : first + end - begin], window, out=part[begin - start : end - start])
            spectrum = torch.fft.rfft(padded[: stop - start])
            low = torch.view_as_real(spectrum)[:, : len(response)]
            offset[start:stop] = low[:, 0, 0]  # it would count as perfectly periodic
            low.sub_(offset[start:stop, None, None] * response)
            power_of(spectrum, out=power[start:stop, :bins])
        acf = self.acf_basis.to(frames) @ power[:, : self.acf_basis.shape[1]].T
        acf = acf[1:].div_(acf[0].clamp(min=1e-30))
        lag, height, strength = find_candidates(acf, self.lags.start, self.lag_preference.to(frames))
        loud = power.sum(-1).sqrt()
        unvoiced = self.voicing_threshold + (2 - 2 * loud / self.silence).clamp(min=0)
        possible = strength.amax(0) > unvoiced - margin
        strength = torch.cat([strength, unvoiced[None]])
        cpp = self._cepstral_peak(power[:, :bins]) if "cpp_db" in self.wanted else offset
        return lag * self.lag_step, height, strength, offset / window.sum(), cpp, possible, power[possible]

    def _cepstral_peak(self, power: Tensor) -> Tensor:
        """Cepstral peak prominence (...) of power spectra (..., bins), in dB."""
        start, stop = self.quefrencies
        return self.prominence(torch.fft.irfft(self._decibel(power), n=self.n_fft)[..., start:stop])

    @property
    def quefrencies(self) -> tuple[int, int]:
        """First and last quefrency (exclusive), in samples, of the regression line under the cepstral peak."""
        return round(self.sampling_rate / 1000), math.ceil(self.sampling_rate / self.f0_min)

    def prominence(self, cepstrum: Tensor) -> Tensor:
        """Cepstral peak prominence (...) in dB of the cepstra (..., n) at `quefrencies`."""
        start, stop = self.quefrencies
        cepstrum = 20 * torch.log10(cepstrum.abs() + 1e-3)
        quefrency = torch.arange(stop - start, device=cepstrum.device).to(cepstrum)
        trend = slope_of(cepstrum, quefrency)[..., None] * (quefrency - quefrency.mean())
        prominence = cepstrum - cepstrum.mean(-1, keepdim=True) - trend
        return prominence[..., max(0, round(self.sampling_rate / self.f0_max) - start) :].amax(-1)

    def _decibel(self, power: Tensor) -> Tensor:
        return 10 * torch.log10(power + self.power_floor)

    def quality(self, powers: Sequence[Tensor], lag: Tensor) -> dict[str, Tensor]:
        """Descriptors (N,) of frames with a pitch period of `lag` (N,) s, from blocks of power spectra (n, bins)."""
        step, sizes = 0.5 / self.sampling_rate, [power.shape[0] for power in powers]
        exact = [
            zoom(power, of, self.sampling_rate / self.n_fft, step, self.lag_gain.to(power))
            for power, of in zip(powers, lag.split(sizes), strict=True)
        ]
        lag, height = (torch.cat(parts) for parts in zip(*exact, strict=True))
        height = torch.where(height > 1, 1 / height, height)  # Boersma 1993: undoing the window may overshoot
        height = height.clamp(1e-3, 1 - 1e-4)
        f0 = 1 / lag
        pairs = list(zip(powers, f0.split(sizes), strict=True))
        first_two = torch.tensor([1.0, 2.0], device=f0.device).to(f0)
        h1, h2 = torch.cat([self._level(power, of[:, None] * first_two) for power, of in pairs]).unbind(-1)
        found = {
            "f0": f0,
            "f0_semitone": 12 * torch.log2(f0 / 27.5),
            "hnr_db": 10 * torch.log10(height / (1 - height)),
            "h1_h2_db": h1 - h2,
        }
        if self.wanted & FORMANT_NAMES:
            count = int(self.lpc_rate / 2 / float(f0.amin())) if len(f0) else 1
            harmonics = torch.cat([self._harmonics(power, of, count) for power, of in pairs])
            frequency, bandwidth = formants(self._envelopes(harmonics, f0), self.lpc_rate, len(FORMANTS))
            blocks = zip(powers, frequency.split(sizes), strict=True)
            level = torch.cat([self._level(power, of, FORMANT_BAND) for power, of in blocks])
            found["h1_a3_db"] = h1 - level[:, 2]
            for i, values in enumerate(zip(frequency.T, bandwidth.T, (level - h1[:, None]).T, strict=True), 1):
                found |= dict(zip((f"f{i}_frequency", f"f{i}_bandwidth", f"f{i}_amplitude_db"), values, strict=True))
        return found

    def _harmonics(self, power: Tensor, f0: Tensor, count: int) -> Tensor:
        """Level (n, count) of the harmonics of F0 (n,) in power spectra (n, bins).

        It is the mean power from half F0 below to half F0 above; a single bin would be random in a noisy voice.
        """
        edges = torch.arange(0.5, count + 1, device=f0.device).to(f0) * (self.n_fft / self.sampling_rate)
        edges = torch.addcmul(power.new_full((), 0.5), f0[:, None], edges).round_().clamp_(max=self.bins)
        sums = F.pad(power.cumsum(1), (1, 0)).gather(1, edges.long())
        return sums.diff(dim=1).clamp_(min=0) / edges.diff(dim=1).clamp_(min=1)

    def _envelopes(self, level: Tensor, f0: Tensor) -> Tensor:
        """All-pole models (N, p + 1) of the pre-emphasized harmonics of voices of F0 (N,), whose level is (N, K)."""
        filters, table = level.new_zeros(len(f0), LPC_ORDER + 1), self.harmonic_table.to(level)
        octave = torch.log2(f0 / f0.amin()).long() if len(f0) else f0.long()
        a = math.exp(-2 * math.pi * PRE_EMPHASIS_HZ / self.lpc_rate)
        for i in octave.unique().tolist():  # voices with similar numbers of harmonics together
            of = (octave == i).nonzero()[:, 0]
            count = int(self.lpc_rate / 2 / float(f0[of].amin()))
            harmonics = torch.arange(1, count + 1, device=f0.device).to(f0)
            row = (f0[of, None] * (harmonics / TABLE_HZ)).round_().long()
            exists = row < len(table)
            row = row.clamp_(max=len(table) - 1)
            emphasis = 1 + a * a - 2 * a * table[:, 1]  # of 1 - a / z
            filters[of] = discrete_all_pole(level[of, :count] * emphasis[row] * exists, row, table)
        return filters

    def _level(self, power: Tensor, frequency: Tensor, band: float = 0) -> Tensor:
        """Level in dB (N, n) of the highest bin of `power` (N, bins) around frequencies (N, n).

        Within one bin, or within the fraction `band` of the frequency.
        """
        at = frequency / (self.sampling_rate / self.n_fft)
        points, reach = 3, torch.ones_like(at)
        if band:
            # fewer points, each the highest of eight bins
            points, reach = 17, (at * band - 3.5).clamp(min=0)
            at = at - 3.5
            power = torch.cat([_highest_of_eight(part) for part in power.split(FFTS_AT_ONCE)])
        spread = torch.linspace(-1, 1, points, device=power.device).to(power)
        bins = torch.addcmul(at[..., None], spread, reach[..., None]).round_().clamp_(0, power.shape[-1] - 1).long()
        return self._decibel(power.gather(-1, bins.flatten(1)).unflatten(1, bins.shape[1:]).amax(-1))


__all__ = ["VoiceAnalysis"]
