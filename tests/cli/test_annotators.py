"""A table of twelve clips with three annotators, from the command that learns to the one that scores."""

import json

import pytest
import soundfile
from helpers.synthetic import voice
from typer.testing import CliRunner

from av_emotion_hf import cli
from av_emotion_hf.errors import InputError

LOW, HIGH, BETWEEN = ("sad", "sad", "sad"), ("happy", "happy", ""), ("sad", "", "happy")


@pytest.fixture
def table(tmp_path):
    """Speakers a to d, each with a low voice, a high one and one between, which nobody has labeled of d."""
    lines = ["file,speaker,anna,ben,cem"]
    for speaker in "abcd":
        for hertz, said in ((120, LOW), (330, HIGH), (200, ("", "", "") if speaker == "d" else BETWEEN)):
            soundfile.write(tmp_path / f"{speaker}{hertz}.wav", voice(0.4, hertz)[0], 16_000)
            lines.append(f"{speaker}{hertz}.wav,{speaker},{','.join(said)}")
    (tmp_path / "takes.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "takes.csv"


def call(*words):
    return CliRunner().invoke(cli.app, [*map(str, words)])


def tune(table, out, *more):
    return call(
        "finetune", table, "--modality", "audio", "--group-column", "speaker", "--validation-groups", "c",
        "--out", out, "--epochs", 1, "--config", '{"hidden_size": 8}', *more,
    )  # fmt: skip


ANNOTATORS = ("--annotator-columns", "anna,ben,cem")


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["mode", "distribution"])
def test_annotators_from_training_to_scores(table, tmp_path, targets):
    result = tune(table, tmp_path / "model", *ANNOTATORS, "--targets", targets, "--json")
    assert result.exit_code == 0, result.output
    settings = json.loads((tmp_path / "model" / "run.json").read_text())["settings"]
    ties = {"with a tie": 2} if targets == "mode" else {}
    expected = {"happy": 3, "sad": 3} if targets == "mode" else {"happy": 4, "sad": 4}
    assert settings["clips"] == {"train": expected, "validation": {"happy": 1, "sad": 1}}
    # train: three times three and two alike, twice two that differ: 4 of 19 labels, 8 happy and 11 sad
    assert settings["votes"] == {
        "annotators": ["anna", "ben", "cem"],
        "min_votes": 1,
        "targets": targets,
        "left_out": {
            "train": {"without votes": 1, "won by ignored votes": 0} | ties,
            "validation": {"without votes": 0, "won by ignored votes": 0, "without a majority": 1},
        },
        "agreement": {
            "train": {
                "alpha": pytest.approx(1 - 18 * 4 / (361 - 64 - 121), abs=5e-5), "clips": 9, "compared": 8, "ties": 2,
                "abstentions": 8,
            },
            "validation": {
                "alpha": pytest.approx(1 - 6 * 2 / (49 - 9 - 16), abs=5e-5), "clips": 3, "compared": 3, "ties": 1,
                "abstentions": 2,
            },
        },
    }  # fmt: skip
    card = (tmp_path / "model" / "README.md").read_text()
    assert "labels from the columns `anna`, `ben`, `cem`" in card
    assert "| train | 0.59 | 8 of 9 | 2 | 8 |\n| validation | 0.50 | 3 of 3 | 1 | 2 |\n" in card
    result = call("evaluate", tmp_path / "model", table, *ANNOTATORS)
    assert "8 clips with a majority of votes, 4 left out" in result.stdout, result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*ANNOTATORS, "--vote-columns", "sad"), "--vote-columns and --annotator-columns say in two ways where votes"),
        (("--annotator-columns", "anna,dora"), "column 'dora' is not in the dataset"),
        ((*ANNOTATORS, "--label-map", '{"sad": "low"}'), "votes are learned from one dataset, without --label-map"),
        ((*ANNOTATORS, "--streaming", "--max-steps", "2"), "votes are counted over a whole table"),
    ],
)
def test_mistakes_are_named(table, tmp_path, words, message):
    result = tune(table, tmp_path / "model", *words)
    assert isinstance(result.exception, InputError) and message in str(result.exception)
    assert not (tmp_path / "model").exists()
