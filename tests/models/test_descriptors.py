"""The names of the descriptors and their selection."""

import pytest

from av_emotion_hf.models.descriptors_av_emotion import (
    CATALOG,
    EGEMAPS_NAMES,
    FORMANT_NAMES,
    VOICE_NAMES,
    VOICED_ONLY,
    select_descriptors,
)

NAMES = [name for family in CATALOG.values() for name in family]


def test_names_are_unique_and_every_group_is_of_them():
    assert len(set(NAMES)) == len(NAMES)
    for group in (EGEMAPS_NAMES, FORMANT_NAMES, VOICE_NAMES, VOICED_ONLY):
        assert set(group) <= set(NAMES)
    assert len(EGEMAPS_NAMES) == len(set(EGEMAPS_NAMES.values())) == 25
    assert FORMANT_NAMES < set(VOICED_ONLY) < VOICE_NAMES


def test_the_default_is_that_of_the_first_checkpoints():
    families = select_descriptors(None, num_mel_bins=3)
    assert [len(names) for names in families.values()] == [5, 5, 10 + 3]
    assert families["spectral"][-3:] == ("log_mel_00", "log_mel_01", "log_mel_02")


def test_a_selection_is_in_the_order_of_the_catalog():
    families = select_descriptors(["mfcc_1", "prosody", "f0_semitone", "f1_frequency"], num_mel_bins=2, deltas=True)
    assert families["prosody"] == CATALOG["prosody"] + tuple(f"delta_{name}" for name in CATALOG["prosody"])
    assert families["voice_quality"] == ()
    assert families["spectral"] == ("f1_frequency", "mfcc_1", "delta_f1_frequency", "delta_mfcc_1")
    egemaps = select_descriptors(["egemaps"], num_mel_bins=2)
    assert {name for names in egemaps.values() for name in names} == set(EGEMAPS_NAMES)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (["pitch"], r"\['pitch'\] cannot be selected; choose from the families prosody, .*log_mel_01"),
        (["log_mel_02"], r"\['log_mel_02'\] cannot be selected"),
        ([], "nothing cannot be selected"),
        (["hnr_db"], "'hnr_db' exists in voiced frames only; add 'voiced' or 'f0_semitone', which identify them"),
    ],
)
def test_a_wrong_selection_is_named(selection, message):
    with pytest.raises(ValueError, match=message):
        select_descriptors(selection, num_mel_bins=2)
