"""Fine-tuning on the labels of several annotators."""

import pytest
from datasets import Dataset, List, Value

from av_emotion_hf import evaluate, finetune
from av_emotion_hf.data import VoteOptions, split_groups
from av_emotion_hf.errors import InputError
from av_emotion_hf.training.self_training import self_train

ANNOTATORS = ("anna", "ben", "cem")
OPTIONS = VoteOptions(annotators=ANNOTATORS)
SPLIT = split_groups(["0", "1", "2", "3"], test=["3"], validation=["2"])


@pytest.fixture
def annotated(features):
    """The features with three annotators instead of a label. Of the eight clips of a speaker, by turns sad and happy:

    the first has no label, the second and third a tie, of the fourth and fifth one annotator has another opinion, and
    the last three have one label each.
    """
    names = ("sad", "happy")
    cells: dict[str, list[str | None]] = {name: [] for name in ANNOTATORS}
    for i in range(len(features)):
        own, other, place = names[i % 2], names[1 - i % 2], i % 8
        said = [(None, "", " "), (own, other, None), (other, None, own), (own, own, other), (own, other, own)]
        for name, label in zip(ANNOTATORS, said[place] if place < 5 else (None, own, None), strict=True):
            cells[name].append(label)
    table = features.remove_columns("emotion")
    for name, values in cells.items():
        table = table.add_column(name, values, feature=Value("string"))
    return table


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["distribution", "mode"])
def test_learns_from_annotators_and_scores_majorities(annotated, features, options, small, tmp_path, targets):
    record = finetune(
        annotated,
        SPLIT,
        args=options("model", epochs=12, learning_rate=2e-2, label_smoothing_factor=0.1),
        modality="audio",
        votes=OPTIONS,
        targets=targets,
        group_column="speaker",
        config_overrides=small["audio"],
    )
    settings = record["settings"]
    assert settings["labels"] == ["happy", "sad"] and settings["label_column"] is None
    found = settings["votes"]
    assert found["targets"] == targets and found["annotators"] == ANNOTATORS
    train = {"without votes": 2, "won by ignored votes": 0} | ({"with a tie": 4} if targets == "mode" else {})
    assert found["left_out"] == {
        "train": train,
        "validation": {"without votes": 1, "won by ignored votes": 0, "without a majority": 2},
    }
    # happy of each speaker: the fourth, sixth and eighth clip; as fractions 1/2 + 1/2 + 2/3 + 1/3 + 1 + 0 + 1
    expected = {"mode": {"happy": 6, "sad": 4}, "distribution": {"happy": 8, "sad": 6}}[targets]
    assert settings["clips"] == {"train": expected, "validation": {"happy": 3, "sad": 2}}
    # of each speaker two ties, (2, 1) and (1, 2): 8 of 10 labels differ from their partners, and 5 are happy
    assert found["agreement"]["validation"] == {
        "alpha": pytest.approx(1 - 9 * 8 / (100 - 25 - 25), abs=5e-5), "clips": 8, "compared": 4, "ties": 2,
        "abstentions": 3 + 1 + 1 + 3 * 2,
    }  # fmt: skip
    assert found["agreement"]["train"]["alpha"] == pytest.approx(1 - 19 * 16 / (400 - 100 - 100), abs=5e-5)
    assert record["scores"]["validation_uar"] > 0.9
    scores = evaluate(str(tmp_path / "model"), annotated, votes=OPTIONS)
    assert scores["clips"] == 4 * 5 and scores["protocol"]["votes"]["agreement"]["ties"] == 4 * 2
    assert scores["protocol"]["label_column"] is None
    assert evaluate(str(tmp_path / "model"), features)["clips"] == 32


@pytest.mark.slow
def test_lists_learn_with_head_mixup_and_calibration_as_columns_do(annotated, options, small, tmp_path):
    cells = [list(row) for row in zip(*(annotated[name] for name in ANNOTATORS), strict=True)]
    lists = annotated.remove_columns(list(ANNOTATORS)).add_column("said", cells, feature=List(Value("string")))
    records = [
        finetune(
            dataset,
            SPLIT,
            args=options(name, epochs=1, learning_rate=1e-2),
            modality="audio",
            label_column="said",
            votes=votes,
            group_column="speaker",
            config_overrides=small["audio"],
            augment={"mixup": 0.5, "copy_paste": 0.3, "time_mask": 0.2},
            head_first=True,
            calibrate=True,
            person_baseline=0.5,
        )
        for name, dataset, votes in (("columns", annotated, OPTIONS), ("lists", lists, None))
    ]
    columns, listed = records
    assert listed["scores"] == columns["scores"] | {
        name: listed["scores"][name] for name in listed["scores"] if name.endswith(("runtime", "per_second"))
    }
    assert listed["settings"]["label_column"] == "said" and listed["calibration"] == columns["calibration"]
    assert listed["settings"]["votes"]["agreement"] == columns["settings"]["votes"]["agreement"]
    card = (tmp_path / "lists" / "README.md").read_text()
    assert "the distribution of their votes" in card and "Left out: 1 without votes, 2 without a majority." in card
    assert "| train | -0.52 | 8 of 16 | 4 | 22 |" in card
    assert "validation clips, with the person's baseline, with a majority of votes" in card


def test_a_distribution_may_be_given(features, options, small):
    """Fractions say nothing of agreement."""
    shares = [[0.75, 0.25] if label == "sad" else [0.125, 0.875] for label in features["emotion"]]
    table = features.remove_columns("emotion").add_column("emotion", shares, feature=List(Value("float32")))
    record = finetune(
        table,
        args=options("model", max_steps=1),
        modality="audio",
        votes=VoteOptions(labels=("sad", "happy")),
        config_overrides=small["audio"],
    )
    assert record["settings"]["labels"] == ["sad", "happy"]
    assert record["settings"]["clips"] == {"train": {"sad": 14, "happy": 18}}  # 16 times 0.875, and 1.125
    assert record["settings"]["votes"]["agreement"]["train"] == {
        "alpha": None, "clips": 32, "compared": 0, "ties": 0,
    }  # fmt: skip


def test_mistakes_are_named_before_anything_is_written(annotated, features, options, tmp_path):
    def tune(dataset=annotated, **more):
        finetune(dataset, args=options("model"), modality="audio", **more)

    with pytest.raises(InputError, match="column 'emotion' is not in the dataset"):
        tune()
    with pytest.raises(InputError, match="targets 'median' is not one of distribution, mode"):
        tune(votes=OPTIONS, targets="median")
    with pytest.raises(InputError, match="targets 'mode' is about votes, and there are none; add --vote-columns or"):
        tune(features, targets="mode")
    with pytest.raises(InputError, match="drawn equally often, and a distribution is none; use mode"):
        tune(votes=OPTIONS, corpus_column="speaker")
    same = Dataset.from_dict({"a": ["sad", "sad"], "input_features": [[[0.0]]] * 2})
    with pytest.raises(InputError, match=r"the votes are for 1 class\(es\); a classifier needs at least two"):
        tune(same, votes=VoteOptions(annotators=("a",)))
    with pytest.raises(InputError, match="pseudo-labels are for clips with one label each, and these have votes"):
        self_train(
            annotated, SPLIT, pool=[], args=options("model"), modality="audio", votes=OPTIONS, group_column="speaker"
        )
    assert not (tmp_path / "model").exists()
