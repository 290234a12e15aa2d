"""Model cards: Jinja templates filled from the record of a run."""

import json
from pathlib import Path

import yaml
from huggingface_hub import ModelCard
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..errors import InputError

# in the wheel beside this folder, in a checkout at its root
TEMPLATE_FOLDERS = (Path(__file__).parents[1] / "modeling_cards", Path(__file__).parents[3] / "modeling_cards")
TEMPLATES = {"train-expression": "expression.md.jinja"}  # by the verb of the run


def write_card(folder: str | Path) -> str:
    """Write `README.md` beside a trained model, from its `run.json` and nothing else.

    Args:
        folder: what a training verb wrote.

    Returns:
        The text of the card.

    Raises:
        InputError: the folder has no record, or one of a verb whose models have no card.
    """
    record = Path(folder) / "run.json"
    if not record.is_file():
        raise InputError(f"{folder}: has no run.json to make a card from; give a folder that a training verb wrote")
    facts = json.loads(record.read_text(encoding="utf-8"))
    if facts.get("verb") not in TEMPLATES:
        raise InputError(
            f"{folder}: is of the verb {facts.get('verb')!r}; cards are made for {', '.join(TEMPLATES)}, "
            "write that of others by hand"
        )
    text = render_card(TEMPLATES[facts["verb"]], facts | {"name": Path(facts["options"]["out"]).name})
    partial = Path(folder) / "README.md.partial"
    partial.write_text(text, encoding="utf-8")
    partial.rename(Path(folder) / "README.md")
    return text


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
    text = environment.get_template(template).render(facts)
    check_card(text)
    return text


def check_card(text: str) -> ModelCard:
    """Check what the Hub checks of a card's metadata when it is uploaded, as far as that goes without network.

    Raises:
        ValueError: there is no metadata, it is not YAML, a needed entry is missing, or a result is not complete.
    """
    try:
        card = ModelCard(text)  # checks the model index
    except yaml.YAMLError as error:
        raise ValueError(f"the metadata of the card is not YAML: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"a result of the card is not complete: {error!r} is missing") from error
    for entry in ("license", "library_name", "pipeline_tag", "tags"):
        if not card.data.get(entry):
            raise ValueError(f"the metadata of the card lacks {entry}")
    for result in card.data.eval_results or []:
        if not isinstance(result.metric_value, int | float):
            raise ValueError(f"the result {result.metric_type} of the card is {result.metric_value!r}, not a number")
    return card


__all__ = ["check_card", "render_card", "write_card"]
