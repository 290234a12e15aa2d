import json
import logging
from pathlib import Path

import pytest

from av_emotion_hf import InputError, open_benchmark
from av_emotion_hf.benchmarks import CORPORA

NAMES = {
    "crema-d": (
        "AudioWAV/1001_DFA_ANG_XX.wav", "AudioMP3/1001_DFA_ANG_XX.mp3", "VideoFlash/1001_DFA_ANG_XX.flv",
        "AudioWAV/1040_ITH_SAD_X.wav", "VideoFlash/1091_IEO_FEA_HI.flv", "AudioWAV/1092_DFA_ANG_XX.wav",
        "AudioWAV/1001_DFA_CALM_XX.wav",
    ),
    "ravdess": (
        "Actor_01/01-01-03-01-01-01-01.mp4", "Actor_01/03-01-03-01-01-01-01.wav", "Actor_01/02-01-03-01-01-01-01.mp4",
        "Actor_01/01-02-03-01-01-01-01.mp4", "Actor_24/01-01-02-02-02-02-24.mp4", "Actor_24/01-01-09-02-02-02-24.mp4",
    ),
    "enterface05": (
        "subject 1/anger/sentence 1/s1_an_1.avi", "subject 6/anger/s6_an.avi",
        "subject 2/anger/sentence 1/s2_an_2.avi", "subject 11/surprise/sentence 5/s12_su_5.avi",
        "subject 16/surprise/sentence 3/s16_su_3avi.avi",
        "subject 3/fear/sentence 5/s_3_fe_5.avi", "subject_44/sadness/sentence_2/s44_sa_2.avi",
    ),
    "savee": (
        "AudioVisualClip/DC/a1.avi", "AudioData/DC/a01.wav", "AudioVisualClip/JE/su15.avi",
        "AudioVisualClip/KL/n30.avi", "AudioVisualClip/JK/sa16.avi", "AudioData/JK/d02.wav",
    ),
    "emo-db": ("wav/03a01Fa.wav", "wav/16b10Tb.wav", "wav/09a02Lc.wav", "wav/04a01Fa.wav"),
}  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    """Function from paths to a folder of such files, which are empty: opening a corpus reads none of them."""

    def make(*names):
        for name in names:
            path = tmp_path / "corpus" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "corpus"

    return make


@pytest.fixture
def meld(tree):
    def make(extra=()):
        folder = tree(
            "train_splits/dia0_utt0.mp4",
            "train_splits/dia0_utt9.mp4",
            "dev_splits_complete/dia0_utt0.mp4",
            "output_repeated_splits_test/dia0_utt0.mp4",
            "output_repeated_splits_test/final_videos_testdia0_utt0.mp4",
            *extra,
        )
        header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
        for part, rows in {
            "train": [
                '1,"Well, no",Chandler,joy,positive,0,0,8,21,a,b',
                "2,Hm,The Interviewer,fear,negative,0,1,8,21,a,b",
            ],
            "dev": ["1,Oh,Phoebe,sadness,negative,0,0,4,7,a,b"],
            "test": ["1,Why,Mark,surprise,positive,0,0,3,19,a,b"],
        }.items():
            text = "\n".join([header, *rows]).encode() + b"\n"
            (folder / f"{part}_sent_emo.csv").write_bytes(text.replace(b"Hm", b"H\x92m"))
        return folder

    return make


def described(dataset, *columns):
    """Name, emotion and these columns of each row."""
    names = dataset.features["emotion"].names
    return [(row["clip"], names[row["emotion"]], *(row[column] for column in columns)) for row in dataset]


def test_crema_d(tree, caplog):
    root = tree(*NAMES["crema-d"])
    (root / "VideoDemographics.csv").write_text('"ActorID","Age","Sex"\n1001,51,"Male"\n1091,29,"Female"\n')
    found = described(open_benchmark("crema-d", root).dataset, "speaker", "gender", "sentence", "level")
    assert found == [
        ("VideoFlash/1001_DFA_ANG_XX.flv", "angry", "1001", "male", "DFA", "XX"),
        ("VideoFlash/1091_IEO_FEA_HI.flv", "fearful", "1091", "female", "IEO", "HI"),
    ]
    assert "skipped 2 files: AudioWAV/1001_DFA_CALM_XX.wav, AudioWAV/1092_DFA_ANG_XX.wav (a name that" in caplog.text
    assert "1 file: AudioWAV/1040_ITH_SAD_X.wav (sound of a clip whose video is missing)" in caplog.text
    assert "2 of the 7442 clips of CREMA-D are there; nothing of speaker 1002, 1003, 1004, 1005, 1006 and 84 more" in (
        caplog.text
    )
    assert "VideoDemographics.csv" not in caplog.text
    voices = described(open_benchmark("crema-d", root, "audio").dataset, "speaker", "level")
    assert voices == [
        ("AudioWAV/1001_DFA_ANG_XX.wav", "angry", "1001", "XX"),
        ("AudioWAV/1040_ITH_SAD_X.wav", "sad", "1040", "XX"),
        ("VideoFlash/1091_IEO_FEA_HI.flv", "fearful", "1091", "HI"),
    ]


def test_ravdess(tree, caplog):
    found = open_benchmark("ravdess", tree(*NAMES["ravdess"])).dataset
    assert described(found, "speaker", "gender", "sentence", "intensity", "repetition") == [
        ("Actor_01/01-01-03-01-01-01-01.mp4", "happy", "01", "male", "kids", "normal", "01"),
        ("Actor_24/01-01-02-02-02-02-24.mp4", "calm", "24", "female", "dogs", "strong", "02"),
    ]
    for skipped in (
        "01-02-03-01-01-01-01.mp4 (song)",
        "02-01-03-01-01-01-01.mp4 (video without sound)",
        "03-01-03-01-01-01-01.wav (another file of the same clip is used)",
        "01-01-09-02-02-02-24.mp4 (a name that the corpus does not have)",
    ):
        assert skipped in caplog.text


def test_enterface05(tree, caplog):
    found = open_benchmark("enterface05", tree(*NAMES["enterface05"]))
    assert described(found.dataset, "speaker", "sentence") == [
        ("subject 1/anger/sentence 1/s1_an_1.avi", "angry", "1", "1"),
        ("subject 11/surprise/sentence 5/s12_su_5.avi", "surprised", "11", "5"),
        ("subject 16/surprise/sentence 3/s16_su_3avi.avi", "surprised", "16", "3"),
        ("subject 2/anger/sentence 1/s2_an_2.avi", "angry", "2", "1"),
        ("subject 3/fear/sentence 5/s_3_fe_5.avi", "fearful", "3", "5"),
        ("subject_44/sadness/sentence_2/s44_sa_2.avi", "sad", "44", "2"),
    ]
    assert "subject 6/anger/s6_an.avi (subject 6, who is not cut into sentences)" in caplog.text
    assert set(found.split("1").test) == {"1", "2", "3"} and found.split("5").test == ("44",)


def test_savee(tree, caplog):
    root = tree(*NAMES["savee"])
    assert described(open_benchmark("savee", root).dataset, "speaker", "gender") == [
        ("AudioVisualClip/DC/a1.avi", "angry", "DC", "male"),
        ("AudioVisualClip/JE/su15.avi", "surprised", "JE", "male"),
        ("AudioVisualClip/KL/n30.avi", "neutral", "KL", "male"),
    ]
    assert "JK/sa16.avi (a name" in caplog.text and "JK/d02.wav (sound of a clip" in caplog.text
    voices = described(open_benchmark("savee", root, "audio").dataset)
    assert voices[:2] == [("AudioData/DC/a01.wav", "angry"), ("AudioData/JK/d02.wav", "disgust")] and len(voices) == 4


def test_savee_in_one_folder(tree):
    found = open_benchmark("savee", tree("ALL/DC_a01.wav", "ALL/KL_su07.wav")).dataset
    assert described(found, "speaker") == [("ALL/DC_a01.wav", "angry", "DC"), ("ALL/KL_su07.wav", "surprised", "KL")]


def test_emo_db(tree, caplog):
    root = tree(*NAMES["emo-db"])
    assert described(open_benchmark("emo-db", root).dataset, "speaker", "gender", "sentence") == [
        ("wav/03a01Fa.wav", "happy", "03", "male", "a01"),
        ("wav/09a02Lc.wav", "bored", "09", "female", "a02"),
        ("wav/16b10Tb.wav", "sad", "16", "female", "b10"),
    ]
    assert "wav/04a01Fa.wav (a name that the corpus does not have)" in caplog.text
    with pytest.raises(InputError, match="has no video of EMO-DB, and --modality fusion needs the face; use --mod"):
        open_benchmark("emo-db", root, "fusion")


def test_meld(meld, caplog):
    found = open_benchmark("meld", meld())
    assert described(found.dataset, "speaker", "part") == [
        ("dev_splits_complete/dia0_utt0.mp4", "sad", "Phoebe", "dev"),
        ("output_repeated_splits_test/final_videos_testdia0_utt0.mp4", "surprised", "Mark", "test"),
        ("train_splits/dia0_utt0.mp4", "happy", "Chandler", "train"),
    ]
    assert "train_splits/dia0_utt9.mp4 (not in the table)" in caplog.text
    assert "rows without a clip, 1 file: train/dia0_utt1" in caplog.text
    assert found.split("official").as_dict() == {"train": ["train"], "validation": ["dev"], "test": ["test"]}


def test_tables_of_meld_are_checked(meld, tree):
    root = meld(["a/dia0_utt0.mp4"])
    table = root / "dev_sent_emo.csv"
    table.write_text(table.read_text().replace("sadness", "gloom"))
    with pytest.raises(InputError, match=r"dev_sent_emo.csv: row 1 is not one of MELD \('gloom'\): Speaker, Emo"):
        open_benchmark("meld", root)
    for part in ("train", "dev", "test"):
        (root / f"{part}_sent_emo.csv").unlink()
    with pytest.raises(InputError, match=r"has none of the tables of MELD, train_sent_emo.csv, dev_sent_emo.csv"):
        open_benchmark("meld", root)


@pytest.mark.parametrize("name", CORPORA)
def test_folds_test_every_group_once_and_example_names_are_understood(name, tree):
    corpus = CORPORA[name]
    tested = [group for groups in corpus.folds.values() for group in groups]
    sizes = {"crema-d": 91, "ravdess": 24, "enterface05": 43, "savee": 4, "meld": 1, "emo-db": 10}
    assert len(tested) == len(set(tested)) == sizes[name] and len(corpus.groups) == len(set(corpus.groups))
    if name != "meld":
        dataset = open_benchmark(name, tree(*corpus.example.split(" or "))).dataset
        assert len(dataset) == 1 and dataset["speaker"][0] in tested
        assert set(dataset.features) == {"file", "clip", "emotion", "speaker", *corpus.columns}


def test_the_folds_are_the_published_ones():
    folds = {name: [list(groups) for groups in CORPORA[name].folds.values()] for name in CORPORA}
    assert [(each[0], each[-1], len(each)) for each in folds["crema-d"]] == [
        ("1001", "1018", 18), ("1019", "1036", 18), ("1037", "1054", 18), ("1055", "1072", 18), ("1073", "1091", 19)
    ]  # fmt: skip
    assert folds["ravdess"][0] == ["01", "02", "03", "04"] and folds["ravdess"][5] == ["21", "22", "23", "24"]
    assert folds["enterface05"][0] == ["1", "2", "3", "4", "5", "7", "8", "9", "10"]
    assert [len(each) for each in folds["enterface05"]] == [9, 9, 9, 9, 7] and folds["enterface05"][4][0] == "38"
    shared = Path(__file__).parents[2].parent / "shared" / "data" / "folds.json"
    if shared.is_file():
        known = json.loads(shared.read_text())
        assert {name: folds[name] for name in known} == known


def test_validation_speakers_come_from_the_training_speakers(tree):
    benchmark = open_benchmark("emo-db", tree(*(f"wav/{speaker}a01Fa.wav" for speaker in CORPORA["emo-db"].folds)))
    split = benchmark.split("08", seed=1)
    assert split.test == ("08",) and len(split.validation) == 2 and len(split.train) == 7
    assert sorted([*split.train, *split.validation, *split.test]) == sorted(benchmark.folds)
    assert benchmark.split("08", seed=1) == split != benchmark.split("08", seed=2)
    with pytest.raises(InputError, match="fold '1': EMO-DB has no such fold; it has 03, 08, 09"):
        benchmark.split("1")


def test_a_whole_corpus_is_no_warning(tree, caplog):
    names = [
        f"AudioData/{speaker}/{letter}{number:02}.wav"
        for speaker in ("DC", "JE", "JK", "KL")
        for letter in ("a", "d", "f", "h", "n", "sa", "su")
        for number in range(1, 31 if letter == "n" else 16)
    ]
    with caplog.at_level(logging.WARNING):
        assert len(open_benchmark("savee", tree(*names)).dataset) == 480
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "modality", "message"),
    [
        ("iemocap", None, "benchmark 'iemocap': there is no such benchmark; they are crema-d, ravdess"),
        ("savee", "voice", "modality 'voice' is not one of audio, image, fusion"),
        ("savee", None, "has no clip of SAVEE; its files are called like AudioVisualClip/DC/a1.avi or"),
    ],
)
def test_what_cannot_be_opened_is_named(name, modality, message, tree):
    with pytest.raises(InputError, match=message):
        open_benchmark(name, tree("notes.txt", "other.wav"), modality)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: there is no such folder; give the one that holds RAVDESS \(Ac"):
        open_benchmark("ravdess", tmp_path / "nowhere")
