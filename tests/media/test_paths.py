import av
import pytest

from av_emotion_hf.errors import InputError
from av_emotion_hf.media import expand_paths
from av_emotion_hf.media.paths import AUDIO_SUFFIXES, MEDIA_SUFFIXES


@pytest.fixture
def folder(tmp_path):
    for name in ("b.MP4", "a.wav", "c.txt", "sub/d.mts", ".hidden.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_paths_are_expanded_in_order(folder, caplog):
    clips = [str(folder / name) for name in ("a.wav", "b.MP4", "sub/d.mts")]
    assert expand_paths([str(folder)]) == clips
    assert "skipped 1 file: c.txt (no clip by its suffix)" in caplog.text
    assert "skipped 1 file: .hidden.wav (hidden)" in caplog.text
    assert expand_paths([str(folder / "*.wav"), "x.mp4"]) == [clips[0], "x.mp4"]
    assert expand_paths([str(folder / "*")]) == clips
    assert expand_paths([str(folder / "**" / "*")]) == clips
    assert expand_paths(["https://host/a.wav?x=[1]"]) == ["https://host/a.wav?x=[1]"]


@pytest.mark.parametrize(("pattern", "what"), [("*.avi", "file"), ("c.*", "clip")])
def test_a_pattern_that_matches_no_clip_is_said(folder, pattern, what):
    with pytest.raises(InputError, match=f"matches no {what}; check the pattern"):
        expand_paths([str(folder / pattern)])


def test_what_exists_is_no_pattern(tmp_path):
    for name in ("f [1]/a.wav", "f 1/b.wav", "all*/c.wav", "all more/d.wav", "f [1]/x[2].wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    both = [str(tmp_path / "f [1]" / name) for name in ("a.wav", "x[2].wav")]
    assert expand_paths([str(tmp_path / "f [1]")]) == both
    assert expand_paths([str(tmp_path / "f [1]" / "*.wav")]) == both
    assert expand_paths([both[1]]) == both[1:]
    assert expand_paths([str(tmp_path / "all*")]) == [str(tmp_path / "all*" / "c.wav")]


def test_a_folder_without_clips_is_said(tmp_path):
    with pytest.raises(InputError, match="contains no clip; expected files such as"):
        expand_paths([str(tmp_path)])


def test_every_suffix_is_one_that_the_reader_knows():
    """FFmpeg names them for its demuxers and muxers; these it finds by their content."""
    by_content = set(".wave .rf64 .bwf .mpga .awb .snd .weba .3ga .qt .divx .mpe .ogm .rmvb".split())
    known = {f".{suffix}" for name in av.formats_available for suffix in _suffixes(name)}
    assert MEDIA_SUFFIXES - known == by_content
    assert AUDIO_SUFFIXES < MEDIA_SUFFIXES and ".ogg" in AUDIO_SUFFIXES and ".mp4" not in AUDIO_SUFFIXES


def _suffixes(name):
    found = set()
    for mode in "rw":
        try:
            found |= set(av.ContainerFormat(name, mode).extensions)
        except ValueError:
            continue
    return found
