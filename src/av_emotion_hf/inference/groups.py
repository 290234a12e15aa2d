"""Clips of several persons, each predicted with the baseline of all clips of its person, and balanced over these."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..data.schema import clip_name, clip_source
from ..data.workers import Outcome
from ..errors import InputError, printable
from ..models.person_baseline_av_emotion import PersonBaseline
from ..timeline.answers import answer_of
from ..training.score_balance import balance_scores
from .predictor import DIGITS, EmotionPredictor, Prediction

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GroupedClip:
    """A clip of a dataset.

    Attributes:
        name: its path, else what the dataset calls it.
        source: path or content.
        group: of its person; `None` where it is not known.
    """

    name: str
    source: str | bytes
    group: str | None


class GroupPredictor:
    """Predicts clips, each with the baseline of its group; without one where there is none.

    Args:
        predictor: of single clips.
        baselines: by group.
        digits: of the scores; `None` for those that [`balanced_outcomes`] needs.
    """

    def __init__(
        self,
        predictor: EmotionPredictor,
        baselines: dict[str, PersonBaseline] | None = None,
        digits: int | None = DIGITS,
    ):
        self.predictor, self.baselines, self.digits = predictor, baselines or {}, digits

    def measure(self, clip: GroupedClip, alive: Callable[[], None]) -> PersonBaseline:
        """As [`EmotionPredictor.measure`]."""
        return self.predictor.measure(clip.source, alive)

    def __call__(self, clip: GroupedClip, alive: Callable[[], None]) -> Prediction | list[Prediction]:
        """As [`EmotionPredictor`]."""
        baseline = None if clip.group is None else self.baselines.get(clip.group)
        found = self.predictor(clip.source, alive, baseline, self.digits)
        if isinstance(found, list):
            return [replace(one, path=clip.name) for one in found]
        return replace(found, path=clip.name)


def grouped_clips(name: str, group_column: str) -> list[GroupedClip]:
    """The clips of a dataset with their groups.

    Args:
        name: see [`open_dataset`].
        group_column: column of the person.

    Raises:
        InputError: there is no such dataset or column, no row has a group, or the dataset has no clips.
    """
    from ..data.dataset import open_dataset, require_columns  # a prediction of single clips needs no datasets
    from ..data.labels import name_of

    dataset = open_dataset(name)
    require_columns(dataset, group_column)
    clips = []
    for number, row in enumerate(dataset):
        source = clip_source(row)
        shown = source if isinstance(source, str) else clip_name(row) or f"row {number}"
        clips.append(GroupedClip(shown, source, name_of(row[group_column])))
    if all(clip.group is None for clip in clips):
        raise InputError(f"column {group_column!r} names no group; choose the column of the person")
    for clip in clips:
        if clip.group is None:
            logger.warning("%s: column %r is empty; predicted without a baseline", printable(clip.name), group_column)
    return clips


def baseline_of(outcomes: Iterable[Outcome]) -> PersonBaseline:
    """The baseline of one person from the outcomes of [`GroupPredictor.measure`]; failures are logged.

    Raises:
        InputError: no clip could be measured.
    """
    try:
        return PersonBaseline.collect(
            (printable(outcome.item.name), outcome.result or str(outcome.error)) for outcome in outcomes
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def baselines_of(outcomes: Iterable[Outcome]) -> dict[str, PersonBaseline]:
    """By group the baseline, from the outcomes of [`GroupPredictor.measure`]; failures are logged.

    A group of which no clip can be measured has none.
    """
    by_group = defaultdict(list)
    for outcome in outcomes:
        if outcome.item.group is not None:
            by_group[outcome.item.group].append(outcome)
    baselines = {}
    for group, own in by_group.items():
        try:
            baselines[group] = baseline_of(own)
        except InputError as error:
            logger.warning("%s: predicted without a baseline (%s)", printable(group), error)
    return baselines


def balanced_outcomes(outcomes: Iterable[Outcome], abstain: float = 0.0) -> list[Outcome]:
    """Outcomes of [`GroupPredictor`] with scores that are balanced over the clips of each group, and rounded.

    See [`balance_scores`]. An answer whose balanced score is below `abstain` is `UNCERTAIN`. Predictions that were
    balanced are marked; clips without a group or an emotion stay as they are, and so do failures.
    """
    found = list(outcomes)
    rows = defaultdict(list)
    for row, outcome in enumerate(found):
        if outcome.error is None and outcome.result.scores:
            rows[outcome.item.group].append(row)
    for group, own in rows.items():
        names = list(found[own[0]].result.scores)
        table = [[found[row].result.scores[name] for name in names] for row in own]
        for row, scores in zip(own, balance_scores(table, [group] * len(own)).tolist(), strict=True):
            ranked = sorted(zip(names, scores, strict=True), key=lambda each: -each[1])
            result = replace(
                found[row].result,
                emotion=answer_of(dict(ranked), abstain),
                scores={name: round(score, DIGITS) for name, score in ranked},
                balanced=group is not None,
            )
            found[row] = replace(found[row], result=result)
    return found


__all__ = ["GroupPredictor", "GroupedClip", "balanced_outcomes", "baseline_of", "baselines_of", "grouped_clips"]
