"""Cards of models and datasets: Jinja templates filled from the record of a run.

`ModelCard.from_template` does not know includes or filters and is silent about missing facts, so the templates are
rendered here; the metadata comes from `ModelCardData`.
"""

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import DatasetCard, EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import InputError
from ..utils import read_json, write_text

# in the wheel beside this folder, in a checkout at its root
TEMPLATE_FOLDERS = (Path(__file__).parents[1] / "modeling_cards", Path(__file__).parents[3] / "modeling_cards")
TEMPLATES = {  # by the command that wrote the run
    "train-expression": "expression.md.jinja",
    "pretrain": "encoder.md.jinja",
    "finetune": "classifier.md.jinja",
    "combine": "combination.md.jinja",
}
WITHOUT_RECORD = "checkpoint.md.jinja"
OF_SHARDS = "features.md.jinja"
METRICS = {  # type and name on the Hub
    "uar": ("uar", "Unweighted average recall"),
    "war": ("accuracy", "Accuracy (weighted average recall)"),
    "macro_f1": ("f1", "Macro-F1"),
}
# cards on the Hub carry it, so the words are fixed
MARK = "<!-- made by av-emotion and made anew when it is pushed, unless it is edited: {} -->"
# what Trainer and `push_to_hub` of a model write, until somebody completes it
DRAFTS = ("This model card has been generated automatically", "# Model Card for Model ID")
WITH_BASELINE = "with the person's baseline"  # a score that used it
BALANCED = "balanced over each group"  # a score of answers that were
VOTED = "with a majority of votes"  # a score of clips that have one
NEEDED = {"model": ("license", "library_name", "pipeline_tag", "tags"), "dataset": ("license", "tags")}


def write_card(folder: str | Path) -> str:
    """Write `README.md` next to a trained model, from its `run.json` and nothing else.

    Args:
        folder: what a training command wrote.

    Returns:
        The text of the card.

    Raises:
        InputError: the folder has no record, or that of a command whose models have no card.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise InputError(f"{folder}: has no run.json to make a card from; give a folder that a training command wrote")
    text = card_for(folder)
    write_text(folder / "README.md", text)
    return text


def card_for(folder: str | Path, name: str | None = None, license_name: str | None = None) -> str:
    """The card of a checkpoint, or of shards that `extract` wrote.

    Its last line tells [`is_generated`] later whether somebody has edited it.

    Args:
        folder: contains `run.json`, or `manifest.json`, or only `config.json`; and optionally `scores.json` with what
            `evaluate` measured.
        name: under which the card's examples load it; by default the name of the folder.
        license_name: of the weights or shards, as the Hub names it, such as `cc-by-4.0`; unknown if not given.

    Raises:
        InputError: the record is that of a command whose models have no card.
    """
    folder = Path(folder)
    if (folder / "run.json").is_file():
        facts = read_json(folder / "run.json")
        if facts.get("verb") not in TEMPLATES:
            raise InputError(
                f"{folder}: was written by the command {facts.get('verb')!r}; cards are made for "
                f"{', '.join(TEMPLATES)}, write others by hand"
            )
        template = TEMPLATES[facts["verb"]]
        name = name or Path(facts["options"]["out"]).name
        test = read_json(folder / "scores.json") if (folder / "scores.json").is_file() else None
        facts |= {"test": test, "results": _results(facts, test)}
    elif (folder / "manifest.json").is_file():
        template, facts = OF_SHARDS, read_json(folder / "manifest.json")
    else:
        config = read_json(folder / "config.json")
        template, facts = WITHOUT_RECORD, {"config": config, "task": _task((config.get("architectures") or [""])[0])}
    name = name or folder.resolve().name
    text = render_card(template, facts | {"name": name, "title": name.split("/")[-1], "license": license_name})
    return f"{text}\n{MARK.format(_digest(text))}\n"


def is_generated(card: str) -> bool:
    """Whether a card was made by [`card_for`] and has not been edited since, or is a draft of transformers."""
    if any(draft in card for draft in DRAFTS):
        return True
    text, _, last = card.rstrip().rpartition("\n")
    return last == MARK.format(_digest(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


def _task(architecture: str) -> str:
    """What the Hub calls what a model is for."""
    if not architecture.endswith("Classification"):
        return "feature-extraction"
    if "Audio" in architecture:
        return "audio-classification"
    return "image-classification" if architecture.endswith("ForImageClassification") else "video-classification"


def _results(facts: dict[str, Any], test: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What was measured of a classifier of clips, on its validation clips and on test clips."""
    scores, settings = facts["scores"], facts["settings"]
    found: list[dict[str, Any]] = []
    dataset = settings.get("dataset", "unnamed")
    for prefix, baseline in (("validation", None), ("validation_with_baseline", WITH_BASELINE)):
        if f"{prefix}_uar" in scores:
            condition = ", ".join(filter(None, (baseline, VOTED if settings.get("votes") else None))) or None
            counts = settings.get("clips", {}).get("validation")
            measured = {name: scores[f"{prefix}_{name}"] for name in METRICS}
            part = {"dataset": dataset, "part": "validation clips", "split": "validation", "condition": condition}
            found.append(measured | part | {"clips": sum(counts.values()) if counts else None})
    protocol = None
    if test is not None:
        protocol, measured = test["protocol"], {name: test[name] for name in (*METRICS, "clips")}
    elif "test_uar" in scores:
        protocol = {"group_column": settings["group_column"], "groups": settings["groups"]["test"]}
        measured = {name: scores[f"test_{name}"] for name in (*METRICS, "clips")}
    if protocol is not None:
        groups = protocol.get("groups") or []
        clips = f"test clips ({protocol['group_column']} {', '.join(groups)})" if groups else "test clips"
        conditions = {"person_baseline": WITH_BASELINE, "balanced": BALANCED, "votes": VOTED}
        condition = ", ".join(words for name, words in conditions.items() if protocol.get(name)) or None
        part = {"dataset": protocol.get("dataset") or dataset, "part": clips, "split": "test", "condition": condition}
        found.append(measured | part)
    for result in found:
        if result["condition"] is not None:
            result["part"] += f", {result['condition']}"
    return found


def _metadata(
    title: str,
    license_name: str | None,
    task: str,
    tags: Sequence[str] = (),
    task_name: str | None = None,
    datasets: Sequence[str] = (),
    results: Sequence[dict[str, Any]] = (),
) -> str:
    """The metadata of a model as YAML; templates call it.

    Args:
        title: name of the model without its owner.
        license_name: `unknown` when `None`.
        task: as the Hub names it.
        tags: beside `emotion-recognition`.
        task_name: in words, for the results.
        datasets: what the model was trained on.
        results: dictionaries of [`METRICS`], `dataset`, `part` and `split`, and the `condition` they hold for, if any.
    """
    found = [
        EvalResult(
            task_type=task,
            task_name=task_name,
            dataset_type=_slug(result["dataset"]),
            dataset_name=f"{result['dataset']}, {result['part']}",
            dataset_config=result.get("condition"),  # or the Hub takes it for the same result
            dataset_split=result["split"],
            metric_type=metric_type,
            metric_name=metric_name,
            metric_value=round(result[name], 4),
        )
        for result in results
        for name, (metric_type, metric_name) in METRICS.items()
    ]
    data = ModelCardData(
        license=license_name or "unknown",
        library_name="transformers",
        pipeline_tag=task,
        tags=["emotion-recognition", *tags],
        datasets=list(datasets) or None,
        model_name=title if found else None,
        eval_results=found or None,
    )
    return data.to_yaml()


def _counts(left_out: Mapping[str, int]) -> str:
    """`"4 without votes, 12 with a tie"`, or `"none"`."""
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count) or "none"


def _slug(name: str) -> str:
    """A name without characters that the Hub refuses in the name of a dataset."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-").lower() or "unnamed"


def render_card(template: str, facts: dict[str, Any]) -> str:
    """Fill a template of `modeling_cards`; a fact that it names and that is missing is an error.

    Raises:
        jinja2.UndefinedError: a fact is missing.
        ValueError: the result is not a card.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_FOLDERS),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda fraction: f"{100 * fraction:.1f} %"
    environment.filters["counts"] = _counts
    environment.filters["quote"] = shlex.quote
    environment.globals["metadata"] = _metadata
    text = environment.get_template(template).render(facts)
    check_card(text, "dataset" if template == OF_SHARDS else "model")
    return text


def check_card(text: str, kind: str = "model") -> ModelCard | DatasetCard:
    """Check what the Hub checks of a card's metadata on upload, as far as possible without network.

    Raises:
        ValueError: there is no metadata, it is not YAML, a required entry is missing, or a result is not complete.
    """
    try:
        card = ModelCard(text) if kind == "model" else DatasetCard(text)  # checks the model index
    except yaml.YAMLError as error:
        raise ValueError(f"the metadata of the card is not YAML: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"a result of the card is not complete: {error!r} is missing") from error
    for entry in NEEDED[kind]:
        if not card.data.get(entry):
            raise ValueError(f"the metadata of the card lacks {entry}")
    for result in card.data.get("eval_results") or []:
        if not isinstance(result.metric_value, int | float):
            raise ValueError(f"the result {result.metric_type} of the card is {result.metric_value!r}, not a number")
        if not re.fullmatch(r"([\w-]+/)?[\w.-]+", result.dataset_type):
            raise ValueError(
                f"the dataset {result.dataset_type!r} of the card is not a name; use letters, digits, - . _"
            )
    return card


__all__ = ["card_for", "check_card", "is_generated", "render_card", "write_card"]
