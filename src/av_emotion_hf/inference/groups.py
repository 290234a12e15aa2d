"""Clips of several persons, each predicted with the baseline of all clips of its person."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..data.schema import clip_name, clip_source
from ..data.workers import Outcome
from ..errors import InputError, printable
from ..models.person_baseline_av_emotion import PersonBaseline
from .predictor import EmotionPredictor, Prediction

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
    """

    def __init__(self, predictor: EmotionPredictor, baselines: dict[str, PersonBaseline] | None = None):
        self.predictor, self.baselines = predictor, baselines or {}

    def measure(self, clip: GroupedClip, alive: Callable[[], None]) -> PersonBaseline:
        """As [`EmotionPredictor.measure`]."""
        return self.predictor.measure(clip.source, alive)

    def __call__(self, clip: GroupedClip, alive: Callable[[], None]) -> Prediction:
        """As [`EmotionPredictor`]."""
        baseline = None if clip.group is None else self.baselines.get(clip.group)
        return replace(self.predictor(clip.source, alive, baseline), path=clip.name)


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


__all__ = ["GroupPredictor", "GroupedClip", "baseline_of", "baselines_of", "grouped_clips"]
