import pytest
from datasets import Dataset

from av_emotion_hf.data.selection import open_selection
from av_emotion_hf.errors import InputError


@pytest.fixture
def table(tmp_path):
    rows = {"number": list(range(6)), "speaker": ["a", "a", "b", "b", "c", "c"]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    return str(tmp_path / "rows.parquet")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"limit": 2}, [0, 1]),
        ({"exclude_groups": ["a"]}, [2, 3, 4, 5]),
        ({"exclude_groups": ["a"], "limit": 3}, [2, 3, 4]),  # of what is not excluded
        ({"groups": ["c", "a"]}, [0, 1, 4, 5]),
        ({"groups": ["a", "b"], "limit": 3}, [0, 1, 2]),
        ({"groups": []}, []),
    ],
)
def test_rows_of_a_selection(table, streaming, options, numbers):
    rows = open_selection(table, None, streaming, group_column="speaker", **options)
    assert [row["number"] for row in rows] == numbers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["a"]}, "--groups needs to know the groups: add --group-column"),
        ({"exclude_groups": ["a"]}, "--exclude-groups needs to know the groups: add --group-column"),
        ({"group_column": "actor"}, "column 'actor' is not in the dataset"),
        ({"group_column": "speaker", "groups": ["a", "z"]}, "speaker: there is no group 'z' in .*rows.parquet"),
        ({"group_column": "speaker", "exclude_groups": ["z"]}, "speaker: there is no group 'z'; the groups are a, b"),
    ],
)
def test_mistakes_are_named(table, options, message):
    with pytest.raises(InputError, match=message):
        open_selection(table, **options)
