"""Descriptors of the voice: F0, voicing, harmonicity, perturbation, harmonics and formants, without gradient."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_av_emotion import AVEmotionAudioConfig
from .cycles_av_emotion import perturbation, smooth_waveform
from .descriptors_av_emotion import FORMANTS, VOICE_NAMES, VOICED_ONLY
from .formants_av_emotion import formants
from .pitch_av_emotion import NUM_CANDIDATES, OCTAVE_COST, best_path, find_candidates, zoom
from .spectrum_av_emotion import (
    FRAMES_AT_ONCE,
    LPC_RATE,
    fft_length,
    float32,
    frames_of,
    power_of,
    raised_cosine,
    scaled,
    slope_of,
)

PITCH_BAND_HZ = 4000  # F0 is looked for below; HNR counts the noise of the whole band
PITCH_TAPER = 1  # power of the cosine that falls to zero there: no ringing beside a peak
FORMANT_BAND = 0.2  # the harmonics of a formant lie within this share of its frequency
OFFSET_BINS = 16  # as far as a constant offset spreads through the pitch window


class VoiceAnalysis(nn.Module):
    """The descriptors that need the pitch of long frames; [`AcousticFrontEnd`] defines them."""

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
        # the lags at which F0 is looked for, dense enough for a parabola through the narrowest peak the band allows
        self.lag_step = 1 / (3.2 * min(PITCH_BAND_HZ, self.sampling_rate / 2))
        self.lags = range(
            math.ceil(1 / (self.f0_max * self.lag_step)), math.floor(1 / (self.f0_min * self.lag_step)) + 1
        )
        self.lpc_rate = min(LPC_RATE, self.sampling_rate)
        for name, value in self.initial_tensors().items():
            self.register_buffer(name, torch.empty(value.shape).copy_(value), persistent=False)

    def initial_tensors(self) -> dict[str, Tensor]:
        """Values of every buffer by name, on the CPU whatever the default device."""
        frequencies = np.arange(self.n_fft // 2 + 1) * self.sampling_rate / self.n_fft
        window = scaled(raised_cosine(self.frame_length, edge=0), self.n_fft)
        # Boersma 1993: the window's own decay, undone; at a quarter of a sample, for the exact peak
        window_acf = np.fft.irfft(np.abs(np.fft.rfft(window, self.n_fft)) ** 2, 4 * self.n_fft)
        lag_gain = window_acf[0] / window_acf[: math.ceil(4 * self.sampling_rate / self.f0_min) + 16]
        lags = np.array([0, *range(self.lags.start - 2, self.lags.stop + 2)]) * self.lag_step
        low = frequencies < PITCH_BAND_HZ
        taper = np.cos(np.pi / 2 * frequencies[low, None] / PITCH_BAND_HZ) ** PITCH_TAPER
        acf_basis = taper * np.cos(2 * np.pi * frequencies[low, None] * lags)
        acf_basis *= np.interp(lags, np.arange(len(lag_gain)) / (4 * self.sampling_rate), lag_gain)
        response = np.fft.rfft(window, self.n_fft)
        return float32(
            {
                "window": window,
                "frequencies": frequencies,
                "offset_response": np.stack([response.real, response.imag], axis=-1)[:OFFSET_BINS] / response[0].real,
                "acf_basis": acf_basis,
                "lag_preference": -OCTAVE_COST * np.log2(np.array(self.lags) * self.lag_step * self.f0_min),
                "lag_gain": lag_gain,
            }
        )

    @torch.no_grad()
    def forward(
        self, waveform: Tensor, lengths: Tensor, frame_mask: Tensor, lpc_acf: Tensor | None
    ) -> dict[str, Tensor]:
        """Selected descriptors (B, T) of pitch, voice quality and formants."""
        wanted = self.wanted
        if not wanted & VOICE_NAMES:
            return {}
        frames = frames_of(waveform, self.frame_length, self.shift)
        row, frame = self._audible(waveform, frame_mask).nonzero(as_tuple=True)
        blank = torch.zeros_like(frame_mask, dtype=waveform.dtype)
        if not len(row):
            return dict.fromkeys(wanted & VOICE_NAMES | {"voiced"}, blank)
        scratch = waveform.new_zeros(FRAMES_AT_ONCE, self.n_fft)  # zeros after the frames stay zeros
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
        if {"voicing_probability", "cpp_db"} & self.wanted:
            return frame_mask
        # mean square of the parts of the frame, each with the highest weight that the window has there
        count, reach = frame_mask.shape[1], -(-self.frame_length // (2 * self.shift))
        parts = F.pad(waveform, (reach * self.shift, (count + reach) * self.shift - waveform.shape[1]))
        parts = parts.view(len(waveform), -1, self.shift).square().sum(-1)
        window = self.window.to(waveform).square() * (self.n_fft / 2)
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
        torch.mul(frames, self.window.to(frames), out=padded[:, : frames.shape[1]])
        spectrum = torch.fft.rfft(padded)
        offset = spectrum.real[..., :1].clone()  # it would count as perfectly periodic
        response = torch.view_as_complex(self.offset_response.to(frames))
        spectrum[..., : len(response)] -= offset * response
        power = power_of(spectrum)
        acf = power[..., : len(self.acf_basis)] @ self.acf_basis.to(frames)
        acf = acf[..., 1:] / acf[..., :1].clamp(min=1e-30)
        lag, height, strength = find_candidates(acf, self.lags.start, self.lag_preference.to(frames))
        loud = power.sum(-1, keepdim=True).sqrt()
        silence = (2 - 2 * loud / self.silence).clamp(min=0)
        strength = torch.cat([strength, self.voicing_threshold + silence], dim=-1)
        mean = offset[..., 0] / self.window.to(frames).sum()
        cpp = self._cepstral_peak(power) if "cpp_db" in self.wanted else mean
        return lag * self.lag_step, height, strength, mean, cpp, power

    def _cepstral_peak(self, power: Tensor) -> Tensor:
        """Cepstral peak prominence (...) of power spectra (..., bins), in dB."""
        start, stop = round(self.sampling_rate / 1000), math.ceil(self.sampling_rate / self.f0_min)
        cepstrum = torch.fft.irfft(self._decibel(power), n=self.n_fft)[..., start:stop]
        cepstrum = 20 * torch.log10(cepstrum.abs() + 1e-3)
        quefrency = torch.arange(stop - start, device=power.device).to(power)
        trend = slope_of(cepstrum, quefrency)[..., None] * (quefrency - quefrency.mean())
        prominence = cepstrum - cepstrum.mean(-1, keepdim=True) - trend
        return prominence[..., max(0, round(self.sampling_rate / self.f0_max) - start) :].amax(-1)

    def _decibel(self, power: Tensor) -> Tensor:
        return 10 * torch.log10(power + self.power_floor)

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
        lag, height = zoom(power, lag, self.frequencies.to(power), quarter, self.lag_gain.to(power))
        height = torch.where(height > 1, 1 / height, height)  # Boersma 1993: undoing the window may overshoot
        f0 = 1 / lag
        h1, h2 = self._level(power, f0[:, None] * torch.tensor([1.0, 2.0], device=f0.device).to(f0), 0).unbind(-1)
        return f0, height.clamp(1e-3, 1 - 1e-4), h1, h2, self._level(power, formants, FORMANT_BAND)

    def _level(self, power: Tensor, frequency: Tensor, band: float) -> Tensor:
        """Level in dB of the highest bin of `power` (N, bins) around frequencies (N, n), within the share `band`."""
        at = frequency / (self.sampling_rate / self.n_fft)
        spread = torch.linspace(-1, 1, 65 if band else 3, device=power.device).to(power)
        bins = at[..., None] + spread * (at[..., None] * band if band else 1)
        bins = bins.round().long().clamp(0, power.shape[-1] - 1)
        return self._decibel(power.gather(-1, bins.flatten(1)).unflatten(1, bins.shape[1:]).amax(-1))


__all__ = ["VoiceAnalysis"]
