"""The acoustic descriptors by name: families, selection, and openSMILE's names for the same quantities."""

FORMANTS = (1, 2, 3)

# In this order everywhere; `log_mel_*` follows, one per band.
CATALOG = {
    "prosody": ("loudness", "log_energy_db", "f0_semitone", "voiced", "voicing_probability"),
    "voice_quality": (
        *("jitter_local", "shimmer_local", "shimmer_local_db", "hnr_db", "h1_h2_db", "h1_a3_db"),
        "cpp_db",
    ),
    "spectral": (
        *("alpha_ratio_db", "hammarberg_index_db", "slope_0_500", "slope_500_1500", "spectral_flux"),
        *("egemaps_slope_0_500", "egemaps_slope_500_1500"),
        *("spectral_centroid", "spectral_rolloff", "zero_crossing_rate"),
        *(f"f{i}_{what}" for i in FORMANTS for what in ("frequency", "bandwidth", "amplitude_db")),
        *(f"mfcc_{i}" for i in range(1, 5)),
    ),
}

# Not selected by default; the first checkpoints do not have them.
OPTIONAL = (
    *("shimmer_local_db", "h1_a3_db", "egemaps_slope_0_500", "egemaps_slope_500_1500"),
    *("spectral_rolloff", "zero_crossing_rate"),
    *(f"f{i}_{what}" for i in FORMANTS for what in ("frequency", "bandwidth", "amplitude_db")),
)

# Defined in voiced frames only.
VOICED_ONLY = (
    *("f0_semitone", "jitter_local", "shimmer_local", "shimmer_local_db", "hnr_db", "h1_h2_db", "h1_a3_db"),
    *(f"f{i}_{what}" for i in FORMANTS for what in ("frequency", "bandwidth", "amplitude_db")),
)

# Computed by `VoiceAnalysis`, and those among them that need formants.
VOICE_NAMES = frozenset((*VOICED_ONLY, "voiced", "voicing_probability", "cpp_db"))
FORMANT_NAMES = frozenset(("h1_a3_db", *(name for name in VOICED_ONLY if name[:2] in ("f1", "f2", "f3"))))

# The 25 low-level descriptors of eGeMAPSv02 (Eyben et al. 2016), in its order.
EGEMAPS_NAMES = {
    "loudness": "Loudness",
    "alpha_ratio_db": "alphaRatio",
    "hammarberg_index_db": "hammarbergIndex",
    "egemaps_slope_0_500": "slope0-500",
    "egemaps_slope_500_1500": "slope500-1500",
    "spectral_flux": "spectralFlux",
    **{f"mfcc_{i}": f"mfcc{i}" for i in range(1, 5)},
    "f0_semitone": "F0semitoneFrom27.5Hz",
    "jitter_local": "jitterLocal",
    "shimmer_local_db": "shimmerLocaldB",
    "hnr_db": "HNRdBACF",
    "h1_h2_db": "logRelF0-H1-H2",
    "h1_a3_db": "logRelF0-H1-A3",
    **{
        f"f{i}_{ours}": f"F{i}{theirs}"
        for i in FORMANTS
        for ours, theirs in (
            ("frequency", "frequency"),
            ("bandwidth", "bandwidth"),
            ("amplitude_db", "amplitudeLogRelF0"),
        )
    },
}

DELTA = "delta_"


def select_descriptors(
    selection: list[str] | None, num_mel_bins: int, deltas: bool = False
) -> dict[str, tuple[str, ...]]:
    """Names of the selected descriptors by family, in the order of the catalog.

    Args:
        selection: names of descriptors or families, or `"egemaps"` for the 25 of eGeMAPSv02; `None` for the default.
        num_mel_bins: number of `log_mel_*` descriptors.
        deltas: whether each family also has `delta_NAME` of each of its descriptors.

    Raises:
        ValueError: a name does not exist, or descriptors of voiced frames are selected without one that tells these.
    """
    families = dict(CATALOG)
    families["spectral"] += tuple(f"log_mel_{i:02d}" for i in range(num_mel_bins))
    names = tuple(name for family in families.values() for name in family)
    if selection is None:
        chosen = set(names) - set(OPTIONAL)
    else:
        chosen = set()
        for name in selection:
            group = families | {"egemaps": tuple(EGEMAPS_NAMES)}
            chosen.update(group.get(name, (name,)))
        unknown = sorted(chosen - set(names))
        if unknown or not chosen:
            raise ValueError(
                f"descriptors={selection!r}: {unknown or 'nothing'} cannot be selected; choose from the families "
                f"{', '.join(families)}, 'egemaps', or the names {', '.join(names)}"
            )
        if chosen & set(VOICED_ONLY) and not chosen & {"voiced", "f0_semitone"}:
            raise ValueError(
                f"descriptors={selection!r}: {sorted(chosen & set(VOICED_ONLY))[0]!r} exists in voiced frames only; "
                "add 'voiced' or 'f0_semitone', which identify them"
            )
    result = {}
    for family, members in families.items():
        kept = tuple(name for name in members if name in chosen)
        result[family] = kept + tuple(DELTA + name for name in kept if deltas)
    return result


__all__ = ["CATALOG", "DELTA", "EGEMAPS_NAMES", "FORMANTS", "VOICED_ONLY", "select_descriptors"]
