# /// script
# dependencies = ["av-emotion-hf"]
# ///
"""Fine-tune an emotion recognizer of voice, face or both with Trainer.

    python examples/finetune_trainer.py CONFIG.json
    python examples/finetune_trainer.py --modality audio --dataset_name USER/CLIPS --group_column speaker \
        --test_groups 09 10 --model_name_or_path USER/ENCODER --output_dir voice --num_train_epochs 10 --push_to_hub

Any dataset of clips will do, on the Hub or in a folder, also what `av-emotion extract` wrote of one. Every argument of
`TrainingArguments` may be given; the defaults are those of `EmotionTrainingArguments`.
"""

import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

from transformers import HfArgumentParser, set_seed
from transformers.utils import logging as transformers_logging

from av_emotion_hf import (
    ClipCollator,
    ClipReader,
    EmotionTrainer,
    EmotionTrainingArguments,
    build_model,
    compute_metrics,
    encode_labels,
    group_names,
    keep_groups,
    label_names,
    open_dataset,
    push,
    split_groups,
    with_inputs,
    write_card,
)
from av_emotion_hf.training import RunRecord, SaveProcessorCallback, checkpoint_names, estimate_statistics

logger = logging.getLogger(__name__)


@dataclass
class ModelArguments:
    """Which model is trained, and what it starts from."""

    modality: str = field(metadata={"help": "audio, image or fusion.", "choices": ["audio", "image", "fusion"]})
    model_name_or_path: list[str] = field(
        default_factory=list,
        metadata={"help": "Checkpoints to start from, on the Hub or in folders; each provides the parts that it has."},
    )
    config_overrides: str = field(default="{}", metadata={"help": "Fields of the configuration to change, as JSON."})


@dataclass
class DataArguments:
    """Where the clips come from and which are held out."""

    dataset_name: str = field(metadata={"help": "A dataset on the Hub, or a folder."})
    dataset_split: str | None = field(default=None, metadata={"help": "Split of the dataset, where it has several."})
    label_column: str = field(default="emotion", metadata={"help": "Column of the label."})
    group_column: str = field(
        default="speaker", metadata={"help": "Column of the speaker; splits are speaker-disjoint."}
    )
    test_groups: list[str] = field(default_factory=list, metadata={"help": "Speakers to test on."})
    validation_fraction: float = field(
        default=0.2, metadata={"help": "Fraction of the other speakers that chooses the weights to keep."}
    )
    max_clips: int | None = field(default=None, metadata={"help": "Use the first clips only, to try things out."})
    fps: float = field(default=10.0, metadata={"help": "Video frames per second."})
    detector: str = field(default="auto", metadata={"help": "Face detector."})


def parse() -> tuple[ModelArguments, DataArguments, EmotionTrainingArguments]:
    """The arguments, from the command line or from one JSON file."""
    parser = HfArgumentParser((ModelArguments, DataArguments, EmotionTrainingArguments))
    if len(sys.argv) == 2 and sys.argv[1].endswith(".json"):
        return parser.parse_json_file(json_file=Path(sys.argv[1]).resolve())
    return parser.parse_args_into_dataclasses()


def prepare(data: DataArguments, modality: str, seed: int):
    """The parts of the dataset with their speakers, and the names of the classes."""
    dataset = open_dataset(data.dataset_name, data.dataset_split)
    if data.max_clips is not None:
        dataset = dataset.take(data.max_clips)
    labels = label_names(dataset, data.label_column)
    speakers = group_names(dataset, data.group_column)
    groups = split_groups(speakers, data.test_groups, (), data.validation_fraction, seed=seed)
    reader = ClipReader("both" if modality == "fusion" else modality, fps=data.fps, detector=data.detector)
    parts = {}
    for name, speakers in groups.as_dict().items():
        if speakers:
            part = with_inputs(keep_groups(dataset, data.group_column, speakers), reader)
            parts[name] = encode_labels(part, data.label_column, labels)
    return parts, groups, labels


def main() -> None:
    """Train, evaluate, save, and push if asked to."""
    model_args, data_args, training_args = parse()
    logging.basicConfig(level=training_args.get_process_log_level())
    transformers_logging.set_verbosity(training_args.get_process_log_level())
    logger.warning(
        "rank %d, device %s, %d processes", training_args.process_index, training_args.device, training_args.world_size
    )
    set_seed(training_args.seed)

    modality = model_args.modality
    with training_args.main_process_first(desc="reading clips"):
        parts, groups, labels = prepare(data_args, modality, training_args.seed)
    initial = build_model(
        "classification", modality, model_args.model_name_or_path, labels, json.loads(model_args.config_overrides)
    )
    processors = (initial.feature_extractor, initial.image_processor, initial.feature_sizes)
    for part in initial.feature_sizes.keys() - initial.normalized:
        estimate_statistics(initial.model, part, parts["train"], ClipCollator(part, *processors))

    record = RunRecord(
        "finetune",
        training_args,
        modality=modality,
        init=checkpoint_names(model_args.model_name_or_path),
        config=json.loads(model_args.config_overrides),
        slow_rate=training_args.slow_rate if training_args.slow_parts else 1.0,
        labels=labels,
        label_column=data_args.label_column,
        group_column=data_args.group_column,
        groups=groups.as_dict(),
        dataset=Path(data_args.dataset_name).name,
        script=[Path(word).name for word in sys.argv],
    )
    processor = initial.processor(modality)
    trainer = EmotionTrainer(
        model=initial.model,
        args=training_args,
        data_collator=ClipCollator(modality, *processors),
        train_dataset=parts["train"] if training_args.do_train else None,
        eval_dataset=parts.get("validation"),
        compute_metrics=compute_metrics,
        callbacks=[SaveProcessorCallback(processor)],
    )
    scores = {}
    if training_args.do_train:
        result = trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)
        trainer.log_metrics("train", result.metrics)
        trainer.save_metrics("train", result.metrics)
        trainer.save_state()
    for name, wanted in (("validation", training_args.do_eval), ("test", training_args.do_predict)):
        if wanted and name in parts:
            metrics = trainer.evaluate(parts[name], metric_key_prefix=name)
            metrics[f"{name}_clips"] = len(parts[name])
            trainer.log_metrics(name, metrics)
            trainer.save_metrics(name, metrics)
            scores |= metrics
    if training_args.do_train:
        record.finish(trainer, scores, processor)
        if trainer.is_world_process_zero():
            write_card(training_args.output_dir)
    if training_args.push_to_hub and trainer.is_world_process_zero():
        # as `trainer.push_to_hub`, but in one commit, with the code that loads the model and with its own card
        done = push(
            training_args.output_dir,
            training_args.hub_model_id or Path(training_args.output_dir).name,
            bool(training_args.hub_private_repo),
            training_args.hub_revision,
        )
        logger.warning("pushed to %s", done["url"])
    trainer.accelerator.end_training()


if __name__ == "__main__":
    main()
