import numpy as np
import pytest

from av_emotion_hf.models.persons_av_emotion import check_person, in_order, is_name, person_name, unknown_person
from av_emotion_hf.models.windows_av_emotion import ClipInputs, concatenate, person_rows


@pytest.mark.parametrize("person", ["largest", "speaking", "all", "person-1", "person-27"])
def test_choices(person):
    assert check_person(person) == person and is_name(person) == person.startswith("person-")


@pytest.mark.parametrize("person", ["loud", "Ann", "person-0", "person-", "person-1, person-2", 2, None, ""])
def test_others_are_refused(person):
    message = r"there is no such choice; use one of largest, speaking, all, or a name such as 'person-2'"
    with pytest.raises(ValueError, match=message):
        check_person(person)


def test_old_names_work_with_a_warning():
    for old, new in (("size", "largest"), ("speech", "speaking")):
        for given in ((old,), ("largest", old)):
            with pytest.warns(DeprecationWarning, match=f"speaker='{old}' is now person='{new}'"):
                assert check_person(*given) == new
    with pytest.raises(ValueError, match="speaker='loud': is now person"):
        check_person("largest", "loud")


def test_names_are_in_the_order_of_appearance():
    names = [person_name(number) for number in (10, 2, 1, 2)]
    assert in_order(names) == ["person-1", "person-2", "person-10"]
    assert unknown_person("person-7", names).endswith("there are person-1, person-2, person-10")
    assert "nobody is seen" in unknown_person("person-7", [])


def window(start, persons, times, sound=1.0):
    crops = np.arange(len(times), dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 2, 3), np.uint8)
    waveform = np.full(8, sound, np.float32)
    return ClipInputs(waveform, crops, np.array(times), 4, start, 1.0, persons=tuple(persons))


WINDOWS = [
    window(0.0, ["person-1", "person-1"], [0.0, 0.5]),
    window(1.0, ["person-1", "person-2", "person-2"], [0.0, 0.0, 0.5], 2.0),
    window(2.0, [], [], 3.0),
]


def test_a_row_for_each_person_with_the_voice_of_who_is_alone():
    rows = list(person_rows(WINDOWS, "all"))
    assert [(row.start, row.person) for row in rows] == [(0, "person-1"), (1, "person-1"), (1, "person-2"), (2, None)]
    assert [row.modalities for row in rows] == [["audio", "image"], ["image"], ["image"], ["audio"]]
    assert [row.crops[:, 0, 0, 0].tolist() for row in rows] == [[0, 1], [0], [1, 2], []]
    assert rows[2].face_times.tolist() == [0.0, 0.5] and rows[2].face_coverage == 0.5
    assert rows[0].waveform[0] == 1.0 and rows[3].waveform[0] == 3.0


def test_one_person_by_name_is_never_given_the_voice_of_others():
    rows = list(person_rows(WINDOWS, "person-1"))
    assert [(row.start, row.modalities) for row in rows] == [(0, ["audio", "image"]), (1, ["image"]), (2, [])]
    rows = person_rows(WINDOWS, "person-3")
    assert [next(rows).modalities for _ in range(3)] == [[], [], []]
    with pytest.raises(ValueError, match="person='person-3': nobody in the clip has this name; there are person-1, "):
        next(rows)


@pytest.mark.parametrize("person", ["largest", "speaking"])
def test_else_windows_stay_as_they_are(person):
    assert list(person_rows(WINDOWS, person)) == WINDOWS


def test_who_is_alone_is_said_of_a_whole_window():
    (first, second) = person_rows([concatenate(WINDOWS[:2], 8)], "all")
    assert (first.modalities, second.modalities) == (["image"], ["image"])
    assert first.face_times.tolist() == [0.0, 0.5, 1.0] and second.face_times.tolist() == [1.0, 1.5]
