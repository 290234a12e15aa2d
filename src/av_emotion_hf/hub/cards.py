"""Cards of models and datasets: Jinja templates filled from the record of a run."""

import hashlib
import json
import re
import shlex
from pathlib import Path

import yaml
from huggingface_hub import DatasetCard, ModelCard
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import InputError

# in the wheel beside this folder, in a checkout at its root
TEMPLATE_FOLDERS = (Path(__file__).parents[1] / "modeling_cards", Path(__file__).parents[3] / "modeling_cards")
TEMPLATES = {  # by the verb of the run
    "train-expression": "expression.md.jinja",
    "pretrain": "encoder.md.jinja",
    "finetune": "classifier.md.jinja",
}
WITHOUT_RECORD = "checkpoint.md.jinja"
OF_SHARDS = "features.md.jinja"
MARK = "<!-- made by av-emotion and made anew when it is pushed, unless it is edited: {} -->"
# what Trainer and `push_to_hub` of a model write, until somebody completes it
DRAFTS = ("This model card has been generated automatically", "# Model Card for Model ID")
NEEDED = {"model": ("license", "library_name", "pipeline_tag", "tags"), "dataset": ("license", "tags")}


def write_card(folder: str | Path) -> str:
    """Write `README.md` beside a trained model, from its `run.json` and nothing else.

    Args:
        folder: what a training verb wrote.

    Returns:
        The text of the card.

    Raises:
        InputError: the folder has no record, or one of a verb whose models have no card.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise InputError(f"{folder}: has no run.json to make a card from; give a folder that a training verb wrote")
    text = card_for(folder)
    partial = folder / "README.md.partial"
    partial.write_text(text, encoding="utf-8")
    partial.rename(folder / "README.md")
    return text


def card_for(folder: str | Path, name: str | None = None, license_name: str | None = None) -> str:
    """The card of a checkpoint, or of shards that `extract` wrote.

    Its last line tells [`is_generated`] later whether somebody has edited it.

    Args:
        folder: holds `run.json`, or `manifest.json`, or `config.json` alone; and in `scores.json`, where it is there,
            what `evaluate` measured.
        name: under which the card's examples load it; by default the name of the folder.
        license_name: of the weights or shards, as the Hub names it, such as `cc-by-4.0`; unknown when left out.

    Raises:
        InputError: the record is of a verb whose models have no card.
    """
    folder = Path(folder)
    if (folder / "run.json").is_file():
        facts = _read(folder / "run.json")
        if facts.get("verb") not in TEMPLATES:
            raise InputError(
                f"{folder}: is of the verb {facts.get('verb')!r}; cards are made for {', '.join(TEMPLATES)}, "
                "write that of others by hand"
            )
        template = TEMPLATES[facts["verb"]]
        name = name or Path(facts["options"]["out"]).name
        test = _read(folder / "scores.json") if (folder / "scores.json").is_file() else None
        facts |= {"test": test, "results": _results(facts, test)}
    elif (folder / "manifest.json").is_file():
        template, facts = OF_SHARDS, _read(folder / "manifest.json")
    else:
        config = _read(folder / "config.json")
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


def _results(facts: dict, test: dict | None) -> list[dict]:
    """What was measured of a classifier of clips, on its validation clips and on those of a test."""
    scores, settings, found = facts["scores"], facts["settings"], []
    dataset = settings.get("dataset", "unnamed")
    if "validation_uar" in scores:
        counts = settings.get("clips", {}).get("validation")
        measured = {name: scores[f"validation_{name}"] for name in ("uar", "war", "macro_f1")}
        part = {"dataset": dataset, "part": "validation clips", "split": "validation"}
        found.append(measured | part | {"clips": sum(counts.values()) if counts else None})
    protocol = None
    if test is not None:
        protocol, measured = test["protocol"], {name: test[name] for name in ("uar", "war", "macro_f1", "clips")}
    elif "test_uar" in scores:
        protocol = {"group_column": settings["group_column"], "groups": settings["groups"]["test"]}
        measured = {name: scores[f"test_{name}"] for name in ("uar", "war", "macro_f1", "clips")}
    if protocol is not None:
        groups = protocol.get("groups") or []
        part = f"test clips ({protocol['group_column']} {', '.join(groups)})" if groups else "test clips"
        found.append(measured | {"dataset": protocol.get("dataset") or dataset, "part": part, "split": "test"})
    return found


def render_card(template: str, facts: dict) -> str:
    """Fill a template of `modeling_cards`; a fact that it names and that is not there is an error.

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
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.filters["slug"] = lambda name: re.sub(r"[^\w.-]+", "-", name).strip("-").lower() or "unnamed"
    environment.filters["quote"] = shlex.quote
    text = environment.get_template(template).render(facts)
    check_card(text, "dataset" if template == OF_SHARDS else "model")
    return text


def check_card(text: str, kind: str = "model") -> ModelCard | DatasetCard:
    """Check what the Hub checks of a card's metadata when it is uploaded, as far as that goes without network.

    Raises:
        ValueError: there is no metadata, it is not YAML, a needed entry is missing, or a result is not complete.
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
            raise ValueError(f"the dataset {result.dataset_type!r} of the card is no name; use letters, digits, - . _")
    return card


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


__all__ = ["card_for", "check_card", "is_generated", "render_card", "write_card"]
