import numpy as np
import pytest

from av_emotion_hf.data.agreement import coincidence_matrix, count_labels, krippendorff_alpha
from av_emotion_hf.errors import InputError


def votes_of(*annotators):
    """Votes by clip, from the labels of each annotator as a text with one letter for each clip; `.` is none."""
    rows = [[None if label == "." else label for label in clip] for clip in zip(*annotators, strict=True)]
    return count_labels(rows, sorted({label for row in rows for label in row if label is not None}))


@pytest.mark.parametrize(
    ("annotators", "alpha"),
    [
        (["0100000010", "1110010000"], 0.095),
        (["aabbdcccedda", "babbbccceddd"], 0.692),
        (["123321412...", "1233224125.3", ".3332342251.", "12332441251."], 0.743),
    ],
    ids=["binary", "two annotators", "four annotators, some labels missing"],
)
def test_the_examples_of_krippendorff_2011(annotators, alpha):
    assert krippendorff_alpha(votes_of(*annotators)) == pytest.approx(alpha, abs=5e-4)


def test_pairs_within_clips():
    """Clip 1 has a, a, b: six ordered pairs, each of weight 1/2; clip 2 has b, b; clip 3 a single label."""
    votes = votes_of("abc", "ab.", "b..")
    assert votes.tolist() == [[2, 1, 0], [0, 2, 0], [0, 0, 1]]
    matrix = coincidence_matrix(votes)
    assert matrix.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    # of 5 labels 2 are a and 3 are b: 1 - (5 - 1) * 2 / (5 * 5 - 2 * 2 - 3 * 3)
    assert krippendorff_alpha(votes) == pytest.approx(1 / 3)


def test_from_full_agreement_to_opposition():
    assert krippendorff_alpha(votes_of("aabb", "aabb")) == 1
    assert krippendorff_alpha(votes_of("ab", "ba")) == pytest.approx(-0.5)  # 1 - 3 * 4 / (16 - 4 - 4)
    generator = np.random.default_rng(0)
    chance = generator.multinomial(5, [0.5, 0.3, 0.2], size=20_000)
    assert krippendorff_alpha(chance) == pytest.approx(0, abs=0.01)


def test_what_is_no_vote_does_not_count():
    assert count_labels([["sad", None, "unsure"], []], ["happy", "sad"]).tolist() == [[0, 1], [0, 0]]
    assert count_labels([], ["happy", "sad"]).shape == (0, 2)


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (votes_of("ab.", "..a"), "no clip has labels of two annotators, and agreement needs pairs"),
        (np.zeros((0, 3)), "no clip has labels of two annotators"),
        (votes_of("aab", "aa."), "all labels of clips with two annotators are the same"),
        (np.array([[0.5, 0.5]]), "agreement is measured on counts of votes"),
        (np.array([[-1, 3]]), "agreement is measured on counts of votes"),
    ],
)
def test_where_nothing_can_be_compared(votes, message):
    with pytest.raises(InputError, match=message):
        krippendorff_alpha(votes)
