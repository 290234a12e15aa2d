from helpers.small_timelines import ODD_LINE, interview, row, timeline_of, turns


def labels(path):
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def test_lines_have_start_end_and_label(tmp_path):
    assert labels(interview().to_audacity(tmp_path / "talk.txt")) == [
        ["0.000000", "2.000000", f"{ODD_LINE}: sad 0.70"],
        ["0.000000", "4.000000", "person-1: angry 0.66"],
        ["6.000000", "7.500000", "voice: happy 0.50"],
    ]


def test_given_texts_are_in_parentheses(tmp_path):
    names = [one[2] for one in labels(turns().to_audacity(tmp_path / "talk.txt"))]
    assert names == ['Anna: angry 0.70 (So "no" & <b>)', "Ben: happy 0.80"]
    assert labels(timeline_of([row(0, 2)]).to_audacity(tmp_path / "none.txt")) == []
