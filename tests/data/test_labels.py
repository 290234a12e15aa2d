import datetime
import math

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from av_emotion_hf.data.labels import class_counts, drop_unlabeled, encode_labels, label_names, name_of
from av_emotion_hf.errors import InputError


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (None, None),
        (math.nan, None),
        ("", None),
        (" \t", None),
        ("a ", "a"),
        (" Mr X", "Mr X"),
        (3, "3"),
        (3.0, "3"),
        (0, "0"),
        (False, "False"),
    ],
)
def test_the_name_that_a_cell_holds(cell, name):
    assert name_of(cell) == name


@pytest.mark.parametrize("streaming", [False, True])
def test_labels_as_people_type_them(caplog, streaming):
    values = ["sad", "sad ", "", " ", None, "happy"]
    dataset = Dataset.from_dict({"emotion": values, "clip": [f"{i}.wav" for i in range(6)]})
    if streaming:
        dataset = dataset.to_iterable_dataset()
    assert label_names(dataset, "emotion") == ["happy", "sad"]
    assert not caplog.records
    encoded = encode_labels(dataset, "emotion", ["happy", "sad"])
    assert [(row["clip"], row["labels"]) for row in encoded] == [("0.wav", 1), ("1.wav", 1), ("5.wav", 0)]
    first, second = (record.getMessage() for record in caplog.records)
    if streaming:
        assert first == "column 'emotion': empty in rows: 3, left out: row 2, row 3, row 4"
    else:
        assert first == "column 'emotion': empty in 3 of 6 rows, left out: 2.wav, 3.wav, 4.wav"
    assert second == "column 'emotion': 'sad ' are read without the blanks around them"


def test_nothing_is_said_of_rows_that_all_have_a_label(caplog):
    dataset = Dataset.from_dict({"emotion": ["a", "b"]})
    assert drop_unlabeled(dataset, "emotion") is dataset and not caplog.records


def test_whole_numbers_are_classes_also_where_pandas_made_floats_of_them():
    dataset = Dataset.from_dict({"emotion": [1.0, None, 2.0, 1.0]})
    assert label_names(dataset, "emotion") == ["1", "2"]
    assert encode_labels(dataset, "emotion", ["1", "2"])["labels"][:] == [0, 1, 0]


def test_class_labels_without_a_value_are_none():
    features = Features({"emotion": ClassLabel(names=["sad", "happy"])})
    dataset = Dataset.from_dict({"emotion": [1, None, -1, 0]}, features=features)
    encoded = encode_labels(dataset, "emotion", ["happy", "sad"])
    assert encoded["labels"][:] == [0, 1]
    assert class_counts(encoded, ["happy", "sad"]) == {"happy": 1, "sad": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [0.13, 0.5, None, 0.9] * 4,
            r"column 'x' holds fractions \(0.13, 0.5\), which are no classes, and reg",
        ),
        ([["sad", "happy"], ["sad"]], "column 'x' holds List cells, and a clip needs one label; votes of several"),
        ([{"a": 1}, {"a": 2}], "column 'x' holds dict cells"),
        ([datetime.datetime(2020, 1, 1)] * 2, r"column 'x' holds timestamp.* values, which are no classes"),
        ([b"a", b"b"], "column 'x' holds binary values"),
    ],
)
def test_what_is_no_class_is_refused(values, message):
    dataset = Dataset.from_dict({"x": values})
    for use in (label_names, drop_unlabeled, lambda *given: encode_labels(*given, ["sad"])):
        with pytest.raises(InputError, match=message):
            use(dataset, "x")


def test_a_column_of_empty_cells_has_no_class():
    dataset = Dataset.from_dict({"x": [None, None]}, features=Features({"x": Value("null")}))
    assert label_names(dataset, "x") == [] and len(drop_unlabeled(dataset, "x")) == 0


@pytest.mark.parametrize("streaming", [False, True])
def test_labels_become_indices_into_the_models_classes(streaming):
    features = Features({"emotion": ClassLabel(names=["sad", "happy"])})
    dataset = Dataset.from_dict({"emotion": [0, 1, 0, 1]}, features=features)
    dataset = dataset.to_iterable_dataset() if streaming else dataset
    assert label_names(dataset, "emotion") == ["sad", "happy"]
    encoded = encode_labels(dataset, "emotion", ["happy", "neutral", "sad"])
    assert [row["labels"] for row in encoded] == [2, 0, 2, 0]
    with pytest.raises(InputError, match="label 'sad' of column 'emotion' is not among the model's classes happy"):
        encode_labels(dataset, "emotion", ["happy"])


def test_text_labels_are_sorted_and_rows_without_one_dropped():
    dataset = Dataset.from_dict({"emotion": ["sad", None, "angry"], "row": [0, 1, 2]})
    assert label_names(dataset, "emotion") == ["angry", "sad"]
    encoded = encode_labels(dataset, "emotion", ["angry", "sad"])
    assert encoded["row"][:] == [0, 2] and encoded["labels"][:] == [1, 0]
