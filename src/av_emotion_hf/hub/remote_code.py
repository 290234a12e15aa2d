"""Code next to a checkpoint, for environments without this package: `trust_remote_code=True` runs it.

Only the flat files of `models` are copied, `*_av_emotion.py`. Which of them follows from the classes in the Auto
registry of the package, and from what their files import.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.dynamic_module_utils import get_relative_import_files

from .. import models
from ..auto import HOME_OF, PIPELINE_TASK, auto_classes, model_class
from ..errors import InputError
from ..utils import read_json, write_text

MODELS_FOLDER = Path(models.__file__).parent
PART_TYPES = ("feature_extractor_type", "image_processor_type", "processor_class")  # where their JSON names the class


def auto_map(config: PreTrainedConfig) -> dict[str, str]:
    """By Auto class, the class and the file of it that belong to a configuration; empty for one of transformers."""
    return {
        auto_class: f"{HOME_OF[value]}.{value}"
        for auto_class, config_class, value in auto_classes()
        if config_class == type(config).__name__
    }


def custom_pipelines(config: PreTrainedConfig) -> dict[str, dict]:
    """The pipeline of this package as `config.json` names it; empty if the checkpoint is not a classifier of clips."""
    heads = {value: auto_class for auto_class, _, value in auto_classes()}
    classifiers = [heads[name] for name in config.architectures or [] if name.endswith("ForSequenceClassification")]
    if not classifiers or not auto_map(config):
        return {}
    home = HOME_OF["AVEmotionPipeline"]
    return {PIPELINE_TASK: {"impl": f"{home}.AVEmotionPipeline", "pt": classifiers}}


def code_files(config: PreTrainedConfig) -> list[Path]:
    """The files of `models` that a checkpoint of this configuration needs, in alphabetical order."""
    return _with_siblings(auto_map(config).values())


def _with_siblings(references: Iterable[str]) -> list[Path]:
    """The files of classes (`FILE.CLASS`), and what these import."""
    needed = {MODELS_FOLDER / f"{reference.split('.')[0]}.py" for reference in references}
    for file in list(needed):
        needed |= {Path(name) for name in get_relative_import_files(file)}
    return sorted(needed)


def stage_remote_code(folder: str | Path) -> list[str]:
    """Copy the code next to a saved checkpoint, and complete `auto_map` and `custom_pipelines` in its JSON.

    Calling it again, also after the package has changed, brings the folder up to date.

    Args:
        folder: what `save_pretrained` or a training command wrote.

    Returns:
        Names of the code files; of an expression recognizer, which is a network of transformers, only those of its
        image processor.

    Raises:
        InputError: the folder does not contain a checkpoint.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: has no config.json; give the folder of a checkpoint that save_pretrained wrote")
    try:
        config = AutoConfig.from_pretrained(folder)
    except ValueError as error:
        raise InputError(f"{folder}: its config.json cannot be read; save the checkpoint again") from error
    references = list(auto_map(config).values())
    if references:
        _update(folder / "config.json", lambda entries: _complete_config(entries, config))
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            references += _update(folder / name, _complete_processor)
    files = _with_siblings(references)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return [file.name for file in files]


def carry_remote_code(*models: PreTrainedModel) -> None:
    """Make `save_pretrained` and `push_to_hub` include the code, as transformers does for custom classes.

    This then holds for all models, configurations, processors and pipelines of this package in this process.

    Args:
        *models: models whose configurations get a complete `auto_map` and `custom_pipelines`. Without that a
            checkpoint names only the Auto class of its own head.
    """
    for auto_class, _, value in auto_classes():
        cls: Any = model_class(value)  # of transformers' models, configurations and processors
        cls.register_for_auto_class(auto_class)
    for model in models:
        model.config.architectures = [type(model).__name__]  # as `save_pretrained` will write it
        model.config.auto_map = auto_map(model.config)
        model.config.custom_pipelines = custom_pipelines(model.config)


def _complete_config(entries: dict, config: PreTrainedConfig) -> None:
    entries["auto_map"] = auto_map(config)
    if pipelines := custom_pipelines(config):
        entries["custom_pipelines"] = pipelines


def _complete_processor(entries: dict) -> list[str]:
    """Name the Auto class of a processor and of its parts; returns `FILE.CLASS` of those that are this package's."""
    auto_class_of = {value: auto_class for auto_class, _, value in auto_classes()}
    references = []
    for part in (entries, *(value for value in entries.values() if isinstance(value, dict))):
        name = next((part[key] for key in PART_TYPES if key in part), None)
        if name in auto_class_of:
            references.append(f"{HOME_OF[name]}.{name}")
            part["auto_map"] = {auto_class_of[name]: references[-1]}
    return references


def _update(file: Path, change: Callable[[dict], Any]) -> Any:
    entries = read_json(file)
    outcome = change(entries)
    write_text(file, json.dumps(entries, indent=2, sort_keys=True) + "\n")
    return outcome


__all__ = ["auto_map", "carry_remote_code", "code_files", "custom_pipelines", "stage_remote_code"]
