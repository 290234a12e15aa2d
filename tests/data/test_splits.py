import pytest
from datasets import Dataset

from av_emotion_hf.data import drop_groups, group_names, keep_groups, split_groups
from av_emotion_hf.errors import InputError

GROUPS = [f"{i:02d}" for i in range(1, 11)]


def test_no_group_stands_in_two_parts():
    for seed in range(5):
        split = split_groups(GROUPS, test=["09", "10"], seed=seed)
        assert split.test == ("09", "10") and len(split.validation) == 2
        assert sorted(split.train + split.validation + split.test) == GROUPS


def test_validation_groups_depend_on_the_seed_alone():
    assert split_groups(GROUPS, seed=1) == split_groups(GROUPS, seed=1)
    assert len({split_groups(GROUPS, seed=seed).validation for seed in range(6)}) > 1
    assert split_groups(GROUPS, validation=["03"]).validation == ("03",)
    assert split_groups(GROUPS, validation_fraction=0).validation == ()


def test_folds_cover_every_group_once():
    folds = [split_groups(GROUPS, folds=4, fold=fold, seed=fold).test for fold in range(4)]
    assert sorted(group for fold in folds for group in fold) == GROUPS
    assert split_groups(GROUPS, folds=4, fold=1, seed=0).test == split_groups(GROUPS, folds=4, fold=1, seed=9).test


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test": ["11"]}, "there is no group '11'; the groups are 01, 02"),
        ({"test": ["01"], "validation": ["01"]}, "group '01' is named for test and for validation"),
        ({"folds": 3}, "--folds and --fold go together"),
        ({"folds": 3, "fold": 3}, "fold 3 of 3 does not exist"),
        ({"folds": 2, "fold": 0, "test": ["01"]}, "either test groups or a fold"),
        ({"test": GROUPS}, "no group is left to train on"),
    ],
)
def test_an_impossible_split_is_named(settings, message):
    with pytest.raises(InputError, match=message):
        split_groups(GROUPS, **settings)


def test_rows_of_groups():
    dataset = Dataset.from_dict({"speaker": [2, 1, 3, 1], "row": [0, 1, 2, 3]})
    assert group_names(dataset, "speaker") == ["1", "2", "3"]
    assert keep_groups(dataset, "speaker", ["1"])["row"][:] == [1, 3]
    assert drop_groups(dataset, "speaker", ["1"])["row"][:] == [0, 2]
    stream = dataset.to_iterable_dataset(num_shards=2)
    assert [row["row"] for row in drop_groups(stream, "speaker", ["3"])] == [0, 1, 3]
    assert list(keep_groups(stream, "speaker", ["1"])) == [{"speaker": 1, "row": 1}, {"speaker": 1, "row": 3}]
    with pytest.raises(InputError, match="speaker: there is no group '7'; the groups are 1, 2, 3"):
        drop_groups(dataset, "speaker", ["7"])


def test_groups_as_people_type_them(caplog):
    speakers = ["a", "a ", None, "", float("nan"), "b"]
    dataset = Dataset.from_dict({"speaker": [s if isinstance(s, str) else None for s in speakers], "row": range(6)})
    assert group_names(dataset, "speaker") == ["a", "b"]
    assert "column 'speaker': 'a ' are read without the blanks around them" in caplog.text
    assert "column 'speaker': empty in 3 of 6 rows, left out: row 2, row 3, row 4" in caplog.text
    assert keep_groups(dataset, "speaker", ["a"])["row"][:] == [0, 1]
    assert drop_groups(dataset, "speaker", ["a"])["row"][:] == [5]  # the others may be of a, too
    numbers = Dataset.from_dict({"speaker": [1.0, None, 2.0]})
    assert group_names(numbers, "speaker") == ["1", "2"] and len(keep_groups(numbers, "speaker", ["1"])) == 1


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan"), float("inf")])
def test_a_fraction_is_below_one(fraction):
    with pytest.raises(InputError, match="has to be a fraction from 0 to below 1"):
        split_groups(GROUPS, validation_fraction=fraction)
