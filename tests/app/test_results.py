import json
import zipfile

from av_emotion_hf.app.downloads import timeline_json, write_downloads
from av_emotion_hf.app.results import answer_html, problem_html, report_frame
from av_emotion_hf.timeline.table import Timeline, TimelineRow

LABELS = ("happy", "sad")


def timeline(*rows, clip="clip.mp4", abstain=0.4):
    return Timeline(clip, rows[-1].end if rows else 0.0, LABELS, list(rows), {"abstain": abstain, "hysteresis": 0.0})


def row(start, person, happy):
    scores = {} if happy is None else {"happy": happy, "sad": 1 - happy}
    return TimelineRow(start, start + 4, person, "happy", happy, scores)


def test_sentences_name_who_shows_what_how_long():
    rows = [row(0, "person-1", 0.9), row(4, "person-1", 0.9), row(8, "person-1", 0.1), row(0, None, None)]
    assert answer_html(timeline(*rows)) == (
        '<div class="answer" role="status">'
        "<p><strong>Person 1</strong>: the expression is mostly <strong>happy</strong> (8 of 12 s), also sad (4 s)."
        "</p>"
        "<p><strong>The voice</strong>: nothing was seen or heard that could be recognized.</p></div>"
    )
    unclear = answer_html(timeline(row(0, "channel-2", 0.5), abstain=0.6))
    assert "<strong>Channel 2</strong>: no expression is clear enough to name it." in unclear
    assert "Nobody is seen or heard" in answer_html(timeline())


def test_names_are_text_and_no_html():
    assert "<b>" not in problem_html("<b>.mp4: is wrong") and "&lt;b&gt;" in problem_html("<b>.mp4: is wrong")
    assert "<i>" not in answer_html(timeline(row(0, "<i>", 0.9)))
    frame = report_frame('<p title="it\'s">text</p><script>1 < 2</script>')
    assert frame.count("<") == 2 and 'srcdoc="&lt;p title=&quot;' in frame


def test_downloads_are_all_formats_in_one_archive(tmp_path):
    paths = write_downloads(timeline(row(0, "person-1", 0.9), clip="my clip.mp4"), tmp_path)
    assert [path.rsplit(".", 1)[1] for path in paths] == ["zip", "html", "csv", "json"]
    with zipfile.ZipFile(paths[0]) as archive:
        assert {"my clip.html", "my clip.csv", "my clip.eaf", "my clip.TextGrid", "my clip.vtt"} <= set(
            archive.namelist()
        )


def test_programs_get_the_document_of_the_json_file(tmp_path):
    one = timeline(row(0, "person-1", 0.9))
    found = timeline_json(one, tmp_path)
    assert found["schema"] == "av-emotion-timeline" and found["rows"][0]["scores"]["happy"] == 0.9
    json.dumps(found, allow_nan=False)
