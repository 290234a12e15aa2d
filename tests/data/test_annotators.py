"""A table of eight clips with three annotators, whose labels, counts and agreement were worked out by hand."""

import logging

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from av_emotion_hf.data.annotators import read_annotators
from av_emotion_hf.data.votes import VoteOptions, encode_parts, encode_votes, vote_agreement, vote_classes
from av_emotion_hf.errors import InputError

ANNOTATORS = ("anna", "ben", "cem")
ROWS = {
    "all": ("sad", "sad", "sad"),
    "two": ("sad", "happy", "sad "),
    "typed": (" angry", "angry", None),
    "tie": ("happy", "sad", ""),
    "three ways": ("happy", "sad", "angry"),
    "one": (None, None, "happy"),
    "nobody": (None, " ", ""),
    "unsure": ("happy", "unsure", "unsure"),
}
LABELS = ["angry", "happy", "sad"]
IGNORED = ("unsure",)
BY_COLUMN = VoteOptions(annotators=ANNOTATORS, ignored=IGNORED)
IN_LISTS = VoteOptions(ignored=IGNORED)


@pytest.fixture
def table():
    """A column for each annotator."""
    columns = zip(*ROWS.values(), strict=True)
    return Dataset.from_dict({"clip": list(ROWS)} | dict(zip(ANNOTATORS, map(list, columns), strict=True)))


@pytest.fixture
def lists():
    """The same in one column."""
    features = Features({"clip": Value("string"), "emotion": List(Value("string"))})
    return Dataset.from_dict({"clip": list(ROWS), "emotion": list(map(list, ROWS.values()))}, features=features)


@pytest.fixture(params=["by column", "in lists"])
def given(request, table, lists):
    """The table in both forms, each with its options."""
    return (table, BY_COLUMN) if request.param == "by column" else (lists, IN_LISTS)


EXPECTED = {
    "distribution": {
        "all": [0, 0, 1],
        "two": [0, 1 / 3, 2 / 3],
        "typed": [1, 0, 0],
        "tie": [0, 0.5, 0.5],
        "three ways": [1 / 3, 1 / 3, 1 / 3],
        "one": [0, 1, 0],
    },
    "mode": {"all": 2, "two": 2, "typed": 0, "one": 1},
    "majority": {"all": 2, "two": 2, "typed": 0, "one": 1},
}


@pytest.mark.parametrize("target", EXPECTED)
def test_the_labels_of_the_table(given, target):
    dataset, options = given
    assert options.are_in(dataset, "emotion") and list(vote_classes(dataset, "emotion", options)) == LABELS
    encoded, left_out = encode_votes(dataset, "emotion", options, LABELS, target, "train")
    expected = EXPECTED[target]
    assert encoded["clip"][:] == list(expected)
    for label, wanted in zip(encoded["labels"], expected.values(), strict=True):
        assert label == pytest.approx(wanted)
    reason = {"mode": "with a tie", "majority": "without a majority"}.get(target)
    ties = {reason: 2} if reason else {}
    assert left_out == {"without votes": 1, "won by ignored votes": 1} | ties


def test_how_far_the_annotators_agree(given, caplog):
    """Clips with two labels: all, two, typed, tie, three ways; `unsure` is no label.

    Pairs of the same label: 3 + 1 + 2 + 0 + 0 = 6 of 13 labels, 3 angry, 3 happy and 7 sad. So 7 of 13 differ, and
    169 - 9 - 9 - 49 = 102: alpha is 1 - 12 * 7 / 102.
    """
    assert vote_agreement(given[0], "emotion", given[1]) == {
        "alpha": pytest.approx(1 - 84 / 102, abs=5e-5), "clips": 8, "compared": 5, "ties": 2, "abstentions": 7,
    }  # fmt: skip
    assert not caplog.records


def test_a_single_label_may_be_an_outlier(table):
    options = VoteOptions(annotators=ANNOTATORS, ignored=IGNORED, min_votes=2)
    encoded, left_out = encode_votes(table, "emotion", options, LABELS, "mode", "train")
    assert encoded["clip"][:] == ["all", "two", "typed"] and encoded["labels"][:] == [2, 2, 0]
    assert left_out == {"without votes": 4, "won by ignored votes": 1, "with a tie": 0}
    found = vote_agreement(table, "emotion", options)
    assert found["ties"] == 0 and found["alpha"] == pytest.approx(1 - 84 / 102, abs=5e-5)  # of all that was said


def test_parts_are_learned_from_by_targets_and_scored_by_majorities(table):
    parts = {"train": table, "validation": table.select([0, 2, 3])}
    encoded, facts = encode_parts(parts, "emotion", BY_COLUMN, LABELS, "distribution")
    assert encoded["train"]["labels"][3] == [0, 0.5, 0.5] and encoded["validation"]["labels"][:] == [2, 0]
    assert facts["left_out"] == {
        "train": {"without votes": 1, "won by ignored votes": 1},
        "validation": {"without votes": 0, "won by ignored votes": 0, "without a majority": 1},
    }
    assert facts["annotators"] == ANNOTATORS and facts["targets"] == "distribution"
    # pairs of three sad, two angry, one happy and one sad: 5 of 7 labels agree
    assert facts["agreement"]["validation"]["alpha"] == pytest.approx(1 - 6 * 2 / (49 - 16 - 4 - 1), abs=5e-5)


def test_counts_have_the_same_agreement(table):
    votes = {"angry": [0, 0, 2, 0, 1], "happy": [0, 1, 0, 1, 1], "sad": [3, 2, 0, 1, 1]}
    options = VoteOptions({name: name for name in votes})
    found = vote_agreement(Dataset.from_dict(votes), "emotion", options)
    assert found == {"alpha": pytest.approx(1 - 84 / 102, abs=5e-5), "clips": 5, "compared": 5, "ties": 2}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([[0.5, 0.5], [1, 0]], "agreement is measured on counts of votes"),
        ([[1, 0], [0, 1]], "no clip has labels of two"),
    ],
)
def test_where_votes_cannot_be_compared_agreement_is_not_known(cells, message, caplog):
    dataset = Dataset.from_dict({"emotion": cells})
    assert vote_agreement(dataset, "emotion", VoteOptions(labels=("happy", "sad")))["alpha"] is None
    assert f"agreement is not known: {message}" in caplog.text


@pytest.mark.parametrize("form", ["columns", "lists"])
def test_class_labels_keep_their_order(form):
    kind = ClassLabel(names=["sad", "happy", "angry"])
    if form == "columns":
        features = Features({"anna": kind, "ben": kind})
        dataset = Dataset.from_dict({"anna": [1, None, 0], "ben": [1, -1, 1]}, features=features)
        columns = ["anna", "ben"]
    else:
        features = Features({"emotion": List(kind)})
        dataset = Dataset.from_dict({"emotion": [[1, 1], [None, -1], [0, 1]]}, features=features)
        columns = ["emotion"]
    rows, names = read_annotators(dataset, columns)
    assert names == ["sad", "happy", "angry"]
    assert rows == [["happy", "happy"], [None, None], ["sad", "happy"]]


def test_lists_may_differ_in_length_and_cells_be_empty():
    features = Features({"emotion": List(Value("string"))})
    dataset = Dataset.from_dict({"emotion": [["sad"], None, [], ["happy", "sad", None]]}, features=features)
    assert read_annotators(dataset, ["emotion"]) == ([["sad"], [], [], ["happy", "sad", None]], ["happy", "sad"])


def test_whole_numbers_are_classes_as_elsewhere():
    dataset = Dataset.from_dict({"a": [1.0, None, 2.0], "b": [1, 2, 2]})
    assert read_annotators(dataset, ["a", "b"]) == ([["1", "1"], [None, "2"], ["2", "2"]], ["1", "2"])


def test_mistakes_are_named(table, lists, caplog):
    caplog.set_level(logging.ERROR)

    def encode(dataset, options, labels=LABELS):
        return encode_votes(dataset, "emotion", options, labels, "mode", "train")

    with pytest.raises(InputError, match="column 'dora' is not in the dataset, which has clip, anna, ben, cem"):
        encode(table, VoteOptions(annotators=("anna", "dora")))
    with pytest.raises(InputError, match="votes for 'unsure', which is not among the model's classes angry, happy"):
        encode(table, VoteOptions(annotators=ANNOTATORS))
    with pytest.raises(InputError, match="this dataset is a stream; do not stream it"):
        vote_classes(table.to_iterable_dataset(), "emotion", BY_COLUMN)
    with pytest.raises(InputError, match="--labels happy,sad: names the entries of lists of numbers, and column 'emo"):
        encode(lists, VoteOptions(labels=("happy", "sad")))
    with pytest.raises(InputError, match="column 'x' holds fractions"):
        encode(Dataset.from_dict({"x": [0.5, 0.25]}), VoteOptions(annotators=("x",)))
    with pytest.raises(InputError, match=r"none of the 2 train rows has a label by its votes \(2 with a tie\)"):
        encode(table.select([3, 4]), BY_COLUMN)
