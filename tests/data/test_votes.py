import logging

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from av_emotion_hf.data.labels import class_counts
from av_emotion_hf.data.votes import TARGETS, VoteOptions, choose_labels, drop_few, encode_votes, vote_classes
from av_emotion_hf.errors import InputError

#            neutral, happy, sad | unknown, NF
ROWS = {
    "clear": ([1, 8, 0], [1, 0]),
    "tie": ([5, 5, 0], [0, 0]),
    "half": ([5, 3, 2], [0, 0]),
    "most": ([4, 3, 2], [1, 0]),
    "only unknown": ([0, 0, 0], [10, 0]),
    "not a face": ([2, 1, 0], [0, 7]),
    "as many": ([4, 1, 1], [4, 0]),
    "single": ([1, 1, 1], [1, 1]),
    "nothing": ([0, 0, 0], [0, 0]),
}
VOTES, IGNORED = (np.array([row[part] for row in ROWS.values()], float) for part in (0, 1))
REASONS = {
    "only unknown": "won by ignored votes",
    "not a face": "won by ignored votes",
    "nothing": "without votes",
}


def labels_by_row(min_votes, target):
    """Label, or the reason why there is none, by the name of a row."""
    labels, left_out = choose_labels(drop_few(VOTES, min_votes), drop_few(IGNORED, min_votes), target)
    reasons = [[reason for reason, rows in left_out.items() if rows[i]] for i in range(len(ROWS))]
    assert all(len(each) <= 1 for each in reasons)
    return {
        name: each[0] if each else np.round(label.astype(float), 3).tolist()
        for name, label, each in zip(ROWS, labels, reasons, strict=True)
    }


def test_the_distribution_keeps_ties_and_drops_ignored_votes():
    assert labels_by_row(1, "distribution") == REASONS | {
        "clear": [0.111, 0.889, 0],
        "tie": [0.5, 0.5, 0],
        "half": [0.5, 0.3, 0.2],
        "most": [0.444, 0.333, 0.222],
        "as many": [0.667, 0.167, 0.167],
        "single": [0.333, 0.333, 0.333],
    }
    assert choose_labels(VOTES, IGNORED, "distribution")[0].dtype == np.float32


def test_single_votes_are_dropped_as_outliers():
    assert labels_by_row(2, "distribution") == REASONS | {
        "clear": [0, 1, 0],
        "tie": [0.5, 0.5, 0],
        "half": [0.5, 0.3, 0.2],
        "most": [0.444, 0.333, 0.222],
        "as many": [1, 0, 0],
        "single": "without votes",
    }


def test_a_tie_has_no_mode():
    assert labels_by_row(1, "mode") == REASONS | {
        "clear": 1, "tie": "with a tie", "half": 0, "most": 0, "as many": 0, "single": "with a tie",
    }  # fmt: skip


@pytest.mark.parametrize(("min_votes", "most"), [(1, "without a majority"), (2, "without a majority"), (3, 0)])
def test_a_majority_is_more_than_half_of_all_votes(min_votes, most):
    found = labels_by_row(min_votes, "majority")
    assert found["clear"] == 1 and found["half"] == ("without a majority" if min_votes < 3 else 0)
    assert found["most"] == most  # 4 of 10, 4 of 9, 4 of 7
    assert found["tie"] == found["as many"] == "without a majority"  # 4 for a class and 4 unknown
    assert {name: found[name] for name in REASONS} == REASONS


@pytest.fixture
def table():
    """The rows as columns, the first class under another name."""
    columns = zip(*(votes + ignored for votes, ignored in ROWS.values()), strict=True)
    names = ("neutral", "happiness", "sad", "unknown", "NF")
    return Dataset.from_dict({"row": list(ROWS)} | {n: list(c) for n, c in zip(names, columns, strict=True)})


OPTIONS = VoteOptions({"sad": "sad", "happy": "happiness", "neutral": "neutral"}, ignored=("unknown", "NF"))
LABELS = ["neutral", "happy", "fear", "sad"]  # of a model: another order, and a class more


@pytest.mark.parametrize("target", [*TARGETS, "majority"])
def test_rows_get_labels_of_the_model_and_those_without_are_counted(table, target, caplog):
    encoded, left_out = encode_votes(table, "emotion", OPTIONS, LABELS, target, "train")
    expected = labels_by_row(1, target)
    kept = [name for name in ROWS if not isinstance(expected[name], str)]
    assert encoded["row"][:] == kept and sum(left_out.values()) == len(ROWS) - len(kept)
    assert left_out["without votes"] == 1 and left_out["won by ignored votes"] == 2
    place = {0: 0, 1: 1, 2: 3}
    for name, label in zip(kept, encoded["labels"], strict=True):
        if target == "distribution":
            assert label == pytest.approx([*expected[name][:2], 0, expected[name][2]], abs=1e-3)
        else:
            assert label == place[expected[name]]
    assert f"left out {len(ROWS) - len(kept)} of 9 train rows: 1 without votes, 2 won by ignored votes" in caplog.text


def test_each_row_counts_as_its_fractions(table):
    encoded, _ = encode_votes(table, "emotion", OPTIONS, LABELS, "distribution", "train")
    # 0.111 + 0.5 + 0.5 + 0.444 + 0.667 + 0.333, and so on
    assert class_counts(encoded, LABELS) == {"neutral": 3, "happy": 3, "fear": 0, "sad": 1}


def test_columns_lists_and_names_say_the_same(table):
    expected, counts = encode_votes(table, "emotion", OPTIONS, LABELS, "mode", "train")
    names = ("neutral", "happy", "sad", "unknown", "NF")
    cells = [list(row) for row in zip(*(table[name] for name in table.column_names[1:]), strict=True)]
    ignored = ("unknown", "NF")
    lists = Dataset.from_dict({"votes": cells}, features=Features({"votes": List(Value("int32"))}))
    named = Dataset.from_list([{"votes": dict(zip(names, cell, strict=True))} for cell in cells])
    for dataset, options in (
        (lists, VoteOptions(labels=names, ignored=ignored)),
        (named, VoteOptions(ignored=ignored)),
    ):
        assert options.are_in(dataset, "votes")
        assert list(vote_classes(dataset, "votes", options)) == ["neutral", "happy", "sad"]
        encoded, found = encode_votes(dataset, "votes", options, LABELS, "mode", "train")
        assert encoded["labels"][:] == expected["labels"][:] and found == counts


def test_fractions_are_a_distribution_already():
    dataset = Dataset.from_dict({"emotion": [[0.25, 0.75], [0.0, 0.0], None, [0.2, 0.2]]})
    options = VoteOptions(labels=("sad", "happy"))
    encoded, left_out = encode_votes(dataset, "emotion", options, ["happy", "sad"], "distribution", "train")
    assert encoded["labels"][:] == [[0.75, 0.25], [0.5, 0.5]]
    assert left_out == {"without votes": 2, "won by ignored votes": 0}


def test_empty_cells_are_no_votes():
    dataset = Dataset.from_dict({"sad": [1.0, None, float("nan")], "happy": [2, None, 1]})
    options = VoteOptions({"sad": "sad", "happy": "happy"})
    encoded, left_out = encode_votes(dataset, "emotion", options, ["sad", "happy"], "mode", "train")
    assert encoded["labels"][:] == [1, 1] and left_out["without votes"] == 1


def column(values, name="happy"):
    """A dataset with votes for two classes, and its options."""
    return Dataset.from_dict({"sad": [1] * len(values), name: values}), VoteOptions({"sad": "sad", "happy": name})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, -2], r"column 'happy', row 1: -2 votes; a count of votes is a whole number, 0 or more; correct it"),
        ([0.5, 1.0], r"column 'happy', row 0: 0.5 votes; a count of votes is a whole number"),
        ([float("inf"), 1.0], r"column 'happy', row 0: inf votes"),
        (["1", "2"], "column 'happy' holds string cells, and votes are numbers"),
        ([[1], [2]], "column 'happy' holds List cells, and votes are numbers"),
        ([True, False], "column 'happy' holds bool cells"),
    ],
)
def test_what_is_no_count_is_refused(values, message):
    dataset, options = column(values)
    with pytest.raises(InputError, match=message):
        encode_votes(dataset, "emotion", options, ["sad", "happy"], "mode", "train")


def test_fractions_have_no_single_votes():
    dataset = Dataset.from_dict({"emotion": [[0.25, 0.75]]})
    options = VoteOptions(labels=("sad", "happy"), min_votes=2)
    with pytest.raises(InputError, match=r"column 'emotion, sad', row 0: 0.25 votes; .* whole number"):
        encode_votes(dataset, "emotion", options, ["sad", "happy"], "mode", "train")


def test_mistakes_are_named(table):
    def encode(options, dataset=table, labels=LABELS, column="emotion"):
        return encode_votes(dataset, column, options, labels, "mode", "validation")

    with pytest.raises(InputError, match="column 'joy' is not in the dataset, which has row, neutral"):
        encode(VoteOptions({"happy": "joy"}))
    with pytest.raises(
        InputError, match=r"votes for 'rage', which is not among .* neutral, happy, fear, sad; name the"
    ):
        encode(VoteOptions({"rage": "sad"}))
    with pytest.raises(InputError, match="this dataset is a stream; do not stream it"):
        encode(OPTIONS, table.to_iterable_dataset())
    with pytest.raises(InputError, match=r"none of the 1 validation rows has a label by its votes \(1 with a tie\)"):
        encode(OPTIONS, table.select([1]))
    lists = Dataset.from_dict({"emotion": [[1, 2], [1, 2, 3]]})
    with pytest.raises(
        InputError, match="'emotion' holds lists of votes without names; name the entries with --labels"
    ):
        encode(VoteOptions(), lists)
    with pytest.raises(InputError, match="column 'emotion', row 1: has 3 entries, and --labels names 2"):
        encode(VoteOptions(labels=("sad", "happy")), lists)
    with pytest.raises(InputError, match="no votes for 'NF' in column 'emotion'; it has sad, happy; choose of these"):
        encode(VoteOptions(labels=("sad", "happy"), ignored=("NF",)), lists.select([0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"a": "x", "b": "x"}}, "'x' is named twice among the votes"),
        ({"columns": {"a": "x"}, "ignored": ("x",)}, "'x' is named twice"),
        ({"labels": ("a", "a")}, "'a' is named twice"),
        (
            {"columns": {"a": "x"}, "labels": ("a",)},
            "--vote-columns and --labels say in two ways where",
        ),
        ({"annotators": ("a",), "columns": {"a": "x"}}, "--vote-columns and --annotator-columns say in two ways"),
        ({"annotators": ("a",), "labels": ("x",)}, "--annotator-columns and --labels say in two ways"),
        ({"annotators": ("a", "b", "a")}, "'a' is named twice among the votes"),
        ({"min_votes": 0}, "min_votes=0: has to be 1 or more; use 2 to drop single votes"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(InputError, match=message):
        VoteOptions(**options)


def test_options_of_votes_need_votes(table, caplog):
    caplog.set_level(logging.WARNING)
    plain = Dataset.from_dict({"emotion": ["sad", "happy"]})
    assert not VoteOptions().are_in(plain, "emotion")
    with pytest.raises(InputError, match="'emotion' holds no votes, which --ignored-votes, --min-votes and --labels"):
        VoteOptions(min_votes=2).are_in(plain, "emotion")


def test_the_record_has_what_was_given():
    assert OPTIONS.record() == {
        "columns": {"sad": "sad", "happy": "happiness", "neutral": "neutral"},
        "ignored": ("unknown", "NF"),
        "min_votes": 1,
    }
