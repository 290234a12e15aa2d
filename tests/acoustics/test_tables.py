import json

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import soundfile
from datasets import ClassLabel, Dataset, Features, Value
from helpers.synthetic import voice

from av_emotion_hf import acoustic_descriptors, acoustic_functionals
from av_emotion_hf.acoustics import tables
from av_emotion_hf.acoustics.tables import write_table
from av_emotion_hf.data import open_dataset
from av_emotion_hf.errors import InputError

LENGTHS = (0.5, 0.72, 0.3)


@pytest.fixture
def waveforms(tmp_path):
    """Three voices; each is on disk as `a/0.wav`, ... in 16 bit."""
    (tmp_path / "a").mkdir()
    for i, seconds in enumerate(LENGTHS):
        soundfile.write(tmp_path / "a" / f"{i}.wav", np.ravel(voice(seconds, 110 + 70 * i)), 16_000)
    return [soundfile.read(tmp_path / "a" / f"{i}.wav", dtype="float32")[0] for i in range(3)]


@pytest.fixture
def voices(tmp_path, waveforms):
    """A dataset of these files, one that is not there, and one without a label."""
    files = [str(tmp_path / "a" / f"{name}.wav") for name in ("0", "1", "missing", "2")]
    features = {"file": Value("string"), "emotion": ClassLabel(names=["sad", "happy"]), "take": Value("int32")}
    rows = {"file": files, "emotion": [1, 0, 0, None], "take": [1, 2, 3, 4]}
    return Dataset.from_dict(rows, features=Features(features))


def test_descriptors_are_those_of_each_file(voices, waveforms, tmp_path):
    out = tmp_path / "new" / "voice.parquet"
    summary = write_table(voices, str(out), root=tmp_path, metadata={"dataset": "voices"})
    frames = [50, 72, 30]
    assert {name: summary[name] for name in ("settings", "clips", "rows", "seconds")} == {
        "settings": {
            "dataset": "voices", "as": "descriptors", "descriptors": ["egemaps", "voiced"], "deltas": False,
        },
        "clips": 3, "rows": sum(frames), "seconds": pytest.approx(sum(LENGTHS)),
    }  # fmt: skip
    (failure,) = summary["failures"]
    assert failure["clip"] == "a/missing.wav" and failure["row"] == 2 and "no such file" in failure["error"]

    table = pyarrow.parquet.read_table(out)
    expected = acoustic_descriptors(waveforms[0], 16_000)
    assert table.column_names == ["clip", "emotion", "take", *expected]
    assert table["clip"].to_pylist() == ["a/0.wav"] * 50 + ["a/1.wav"] * 72 + ["a/2.wav"] * 30
    assert table["emotion"].to_pylist() == ["happy"] * 50 + ["sad"] * 72 + [None] * 30
    assert table["take"].to_pylist() == [1] * 50 + [2] * 72 + [4] * 30
    for waveform, stop, count in zip(waveforms, np.cumsum(frames), frames, strict=True):
        for name, values in acoustic_descriptors(waveform, 16_000).items():
            got = table[name].to_numpy()[stop - count : stop]
            np.testing.assert_allclose(got, values, rtol=1e-4, atol=1e-4, err_msg=name)
    assert [path.name for path in out.parent.iterdir()] == ["voice.parquet"]


@pytest.mark.parametrize("form", tables.FORMS)
def test_csv_parquet_and_any_size_of_batch_agree(voices, tmp_path, form):
    write_table(voices, str(tmp_path / "t.parquet"), form)
    write_table(voices, str(tmp_path / "t.csv"), form)
    write_table(voices, str(tmp_path / "small.parquet"), form, batch_seconds=0.6)
    whole = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    small = pyarrow.parquet.read_table(tmp_path / "small.parquet")
    assert pyarrow.parquet.ParquetFile(tmp_path / "t.parquet").num_row_groups == 1
    assert pyarrow.parquet.ParquetFile(tmp_path / "small.parquet").num_row_groups == 3
    text = pyarrow.csv.read_csv(tmp_path / "t.csv")
    assert text.column_names == small.column_names == whole.column_names
    assert text["clip"].to_pylist() == small["clip"].to_pylist() == whole["clip"].to_pylist()
    for name in whole.column_names[3:]:
        np.testing.assert_array_equal(text[name].to_numpy().astype(whole[name].to_numpy().dtype), whole[name])
        np.testing.assert_allclose(small[name], whole[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_functionals_are_those_of_each_file(voices, waveforms, tmp_path):
    write_table(voices, str(tmp_path / "f.parquet"), "functionals")
    rows = pyarrow.parquet.read_table(tmp_path / "f.parquet").to_pylist()
    assert len(rows) == 3 and len(rows[0]) == 3 + 88
    for row, waveform in zip(rows, waveforms, strict=True):
        for name, value in acoustic_functionals(waveform, 16_000).items():
            assert row[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


def test_chosen_descriptors_and_their_slopes(voices, tmp_path):
    write_table(voices, str(tmp_path / "t.csv"), descriptors=["loudness", "voice_quality", "voiced"], deltas=True)
    names = pyarrow.csv.read_csv(tmp_path / "t.csv").column_names[3:]
    assert {"time", "loudness", "jitter_local", "delta_loudness", "delta_jitter_local"} < set(names)
    assert not {"spectral_flux", "log_energy_db"} & set(names)


def test_clips_may_be_one_file_inputs_or_a_stream(clips, tmp_path, waveforms):
    alone = open_dataset(str(tmp_path / "a" / "1.wav"))
    streamed = open_dataset(str(tmp_path / "a" / "1.wav"), streaming=True)
    for name, dataset in (("alone", alone), ("streamed", streamed)):
        write_table(dataset, str(tmp_path / f"{name}.csv"), "functionals", root=tmp_path / "a")
    assert (tmp_path / "alone.csv").read_text() == (tmp_path / "streamed.csv").read_text()
    assert pyarrow.csv.read_csv(tmp_path / "alone.csv")["clip"].to_pylist() == ["1.wav"]

    summary = write_table(clips, str(tmp_path / "clips.parquet"), "functionals")  # bytes without a name, with video
    assert [failure["row"] for failure in summary["failures"]] == [1, 3]  # without sound; no clip
    assert "has no audio" in summary["failures"][0]["error"]
    table = pyarrow.parquet.read_table(tmp_path / "clips.parquet")
    assert table["clip"].to_pylist() == ["0", "2"] and table["speaker"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("out", "settings", "message"),
    [
        ("t.txt", {}, "a table is a file that ends in .parquet or .csv"),
        ("taken.csv", {}, "exists already; choose another --out"),
        ("t.csv", {"descriptors": ["pitch"]}, r"\['pitch'\] cannot be selected; choose from the families prosody"),
        ("t.csv", {"descriptors": ["hnr_db"]}, "'hnr_db' exists in voiced frames only; add 'voiced'"),
        ("t.csv", {"form": "numbers"}, "form 'numbers' is not one of descriptors, functionals"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(voices, tmp_path, out, settings, message):
    (tmp_path / "taken.csv").write_text("mine")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=message) as raised:
        write_table(voices, str(tmp_path / out), **settings)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before and (tmp_path / "taken.csv").read_text() == "mine"


def test_datasets_that_cannot_be_used(voices, tmp_path, monkeypatch):
    out = tmp_path / "t.parquet"
    with pytest.raises(InputError, match=r"not one clip could be read, nothing was written; .* there is no such"):
        write_table(voices.select([2]), str(out))
    with pytest.raises(InputError, match="the dataset has no audio: expected a column video, audio, file, path"):
        write_table(voices.remove_columns("file"), str(out))
    with pytest.raises(InputError, match="column 'loudness' of the dataset has the name of a column of the table"):
        write_table(voices.rename_column("take", "loudness"), str(out))

    def broken(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "_table", broken)
    with pytest.raises(KeyboardInterrupt):
        write_table(voices, str(out))
    assert not list(tmp_path.glob("t.*"))  # not half a table either


def test_silence_has_frames_and_a_name_of_the_dataset_is_kept(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(1600), 16_000)
    dataset = Dataset.from_dict({"file": [str(tmp_path / "silence.wav")], "clip": ["nothing said"]})
    summary = write_table(dataset, str(tmp_path / "t.parquet"), descriptors=["prosody"])
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    assert summary["rows"] == 10 and table["clip"].to_pylist() == ["nothing said"] * 10
    assert not table["voiced"].to_numpy().any()
    assert json.dumps(summary)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_what_is_too_short_is_not_a_number_in_the_table(tmp_path, suffix):
    for name, samples in {"short": 959, "long": 960, "one": 1}.items():
        soundfile.write(tmp_path / f"{name}.wav", np.ravel(voice(0.06, 150))[:samples], 16_000)
    files = [str(tmp_path / f"{name}.wav") for name in ("short", "long", "one")]
    out = tmp_path / f"voices.{suffix}"
    summary = write_table(Dataset.from_dict({"file": files}), str(out), form="functionals")
    table = pyarrow.parquet.read_table(out) if suffix == "parquet" else pyarrow.csv.read_csv(out)
    assert summary["clips"] == table.num_rows == 3 and table.num_columns == 89
    for column in table.columns[1:]:
        assert np.isnan(column.to_numpy()).tolist() == [True, False, True]
