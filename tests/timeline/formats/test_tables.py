import csv
import math
from dataclasses import replace

import pandas
import pyarrow.parquet
import pytest
from helpers.small_timelines import ODD, interview, row, timeline_of, turns

from av_emotion_hf import InputError


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_rounded_numbers_and_empty_cells(tmp_path):
    rows = read(interview().to_csv(tmp_path / "talk.csv"))
    assert list(rows[0]) == list(interview().columns())
    assert list(rows[0].values()) == [
        "0.0", "2.0", "person-1", "angry", "0.7124", "0.7124", "0.2", "0.0876", "1.0", "0.5", "0.4", "0.6", "-23.4",
        "181.3", "2",
    ]  # fmt: skip
    assert rows[1]["person"] == ODD and rows[1]["num_persons"] == "" and rows[1]["share_audio"] == ""
    absent = {name: value for name, value in rows[3].items() if value}
    assert absent == {"start": "4.0", "end": "6.0", "person": "person-1", "face_coverage": "0.0",
                      "voice_coverage": "0.0", "num_persons": "0"}  # fmt: skip
    assert rows[4]["person"] == "" and rows[4]["end"] == "7.5" and rows[4]["face_coverage"] == ""


def test_pandas_reads_the_csv(tmp_path):
    frame = pandas.read_csv(interview().to_csv(tmp_path / "talk.csv"))
    assert frame.emotion.isna().tolist() == [False, False, False, True, False]
    assert frame.score_angry.dropna().tolist() == [0.7124, 0.1, 0.6, 0.2] and frame.face_coverage[3] == 0


def test_texts_are_in_their_column(tmp_path):
    rows = read(turns().to_csv(tmp_path / "talk.csv"))
    assert [one["text"] for one in rows] == ['So "no" & <b>', "", "über"]


def test_parquet_has_types_and_nulls(tmp_path):
    table = pyarrow.parquet.read_table(interview().to_parquet(tmp_path / "talk.parquet"))
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert list(kinds) == list(interview().columns())
    assert {name for name, kind in kinds.items() if kind == "string"} == {"person", "emotion"}
    assert {name for name, kind in kinds.items() if kind == "int64"} == {"num_persons"}
    assert {name for name, kind in kinds.items() if kind == "double"} == set(kinds) - {
        "person", "emotion", "num_persons"
    }  # fmt: skip
    assert table["score_angry"].to_pylist() == [0.7124, 0.1, 0.6, None, 0.2]
    assert table["num_persons"].to_pylist() == [2, None, 1, 0, 0]
    assert table["pitch"].to_pylist() == [181.3, None, None, None, None]
    assert table["person"].to_pylist() == ["person-1", ODD, "person-1", "person-1", None]


def test_types_do_not_depend_on_what_was_seen(tmp_path):
    schemas = {
        str(pyarrow.parquet.read_schema(timeline_of(rows).to_parquet(tmp_path / "talk.parquet")))
        for rows in ([], [row(0, 2)], interview().rows)
    }
    assert len(schemas) == 1


@pytest.mark.parametrize("name", ["csv", "parquet", "json"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_is_refused_and_nothing_written(tmp_path, name, value):
    timeline = timeline_of([row(0, 2), replace(row(2, 4, (0.7, 0.2, 0.1)), loudness=value)])
    with pytest.raises(InputError, match=r"loudness of row 2 is (nan|inf)|not a number"):
        getattr(timeline, f"to_{name}")(tmp_path / f"talk.{name}")
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_negative_zero(tmp_path):
    timeline = timeline_of([replace(row(0, 2, (0.7, 0.2, 0.1)), loudness=-0.01)])
    assert read(timeline.to_csv(tmp_path / "talk.csv"))[0]["loudness"] == "0.0"
