# /// script
# dependencies = ["av-emotion-hf"]
# ///
"""Fine-tune an emotion recognizer without Trainer: an explicit training loop on Accelerate.

    accelerate launch examples/finetune_no_trainer.py --modality audio --dataset_name CLIPS --test_groups 09 10 \
        --output_dir voice

An interrupted run that is started again with `--resume` continues after the last finished epoch.
"""

import argparse
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import get_scheduler

from av_emotion_hf import (
    ClipCollator,
    ClipReader,
    build_model,
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
from av_emotion_hf.training import EmotionScores, RunRecord, checkpoint_names, estimate_statistics


def parse() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modality", choices=["audio", "image", "fusion"], required=True)
    parser.add_argument("--dataset_name", required=True, help="A dataset on the Hub, or a folder.")
    parser.add_argument("--label_column", default="emotion")
    parser.add_argument("--group_column", default="speaker", help="Parts are disjoint in this column.")
    parser.add_argument("--test_groups", nargs="*", default=[], help="Speakers to test on.")
    parser.add_argument("--model_name_or_path", nargs="*", default=[], help="Checkpoints to start from.")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--num_train_epochs", type=int, default=5)
    parser.add_argument("--batch_size", type=int, default=16, help="Clips per step and process.")
    parser.add_argument("--gradient_accumulation_steps", type=int, default=1)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--weight_decay", type=float, default=0.01)
    parser.add_argument("--max_clips", type=int, help="Use the first clips only, to try things out.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--push_to_hub", metavar="NAME", help="Repository to push the result to.")
    return parser.parse_args()


@torch.no_grad()
def evaluate(model, loader: DataLoader, accelerator: Accelerator) -> dict[str, float]:
    """UAR, WAR and macro-F1 over the clips of all processes."""
    model.eval()
    metric, clips = EmotionScores(), 0
    for batch in loader:
        labels = batch.pop("labels")
        logits = model(**batch).logits
        # clips that were repeated to fill the last batch are dropped here
        logits, labels = accelerator.gather_for_metrics((logits, labels))
        metric.add_batch(references=labels.tolist(), predictions=logits.argmax(-1).tolist())
        clips += len(labels)
    return metric.compute() | {"clips": clips}


def main() -> None:
    """Train, evaluate, save, and push if asked to."""
    args = parse()
    accelerator = Accelerator(gradient_accumulation_steps=args.gradient_accumulation_steps)
    set_seed(args.seed)

    # the clips: speakers of the test and of the validation are in no training batch
    dataset = open_dataset(args.dataset_name)
    dataset = dataset.take(args.max_clips) if args.max_clips else dataset
    labels = label_names(dataset, args.label_column)
    groups = split_groups(group_names(dataset, args.group_column), args.test_groups, seed=args.seed)
    reader = ClipReader("both" if args.modality == "fusion" else args.modality)
    parts = {}
    with accelerator.main_process_first():
        for name, speakers in groups.as_dict().items():
            if speakers:
                part = with_inputs(keep_groups(dataset, args.group_column, speakers), reader)
                parts[name] = encode_labels(part, args.label_column, labels)

    # the model, from the parts of earlier ones
    initial = build_model("classification", args.modality, args.model_name_or_path, labels)
    processors = (initial.feature_extractor, initial.image_processor, initial.feature_sizes)
    for part in initial.feature_sizes.keys() - initial.normalized:
        estimate_statistics(initial.model, part, parts["train"], ClipCollator(part, *processors))
    model, collate = initial.model, ClipCollator(args.modality, *processors)
    loaders = {
        name: DataLoader(part, args.batch_size, shuffle=name == "train", collate_fn=collate)
        for name, part in parts.items()
    }
    optimizer = torch.optim.AdamW(model.parameters(), args.learning_rate, weight_decay=args.weight_decay)
    model, optimizer, *prepared = accelerator.prepare(model, optimizer, *loaders.values())
    loaders = dict(zip(loaders, prepared, strict=True))
    steps = args.num_train_epochs * math.ceil(len(loaders["train"]) / args.gradient_accumulation_steps)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=steps // 10, num_training_steps=steps)
    accelerator.register_for_checkpointing(schedule)

    out = Path(args.output_dir)
    options = {
        "out": str(out),
        "epochs": args.num_train_epochs,
        "max_steps": -1,
        "batch_size": args.batch_size * args.gradient_accumulation_steps,
        "learning_rate": args.learning_rate,
        "weight_decay": args.weight_decay,
        "schedule": "cosine",
        "warmup": 0.1,
        "label_smoothing": 0.0,
        "seed": args.seed,
        "bf16": False,
    }
    record = RunRecord(
        "finetune",
        options,
        modality=args.modality,
        init=checkpoint_names(args.model_name_or_path),
        slow_rate=1.0,
        labels=labels,
        label_column=args.label_column,
        group_column=args.group_column,
        groups=groups.as_dict(),
        dataset=Path(args.dataset_name).name,
        script=[Path(sys.argv[0]).name],
    )
    first, history = 0, []
    if args.resume:
        latest = next((out / "checkpoint").glob("epoch-*"), None)
        if latest is None:
            raise SystemExit(f"{out}: holds no finished epoch to resume from; start without --resume")
        accelerator.load_state(str(latest))
        first = int(latest.name.removeprefix("epoch-"))
    bar = tqdm(total=steps, initial=first * steps // args.num_train_epochs, disable=not accelerator.is_main_process)
    for epoch in range(first, args.num_train_epochs):
        model.train()
        losses = []
        for batch in loaders["train"]:
            with accelerator.accumulate(model):
                loss = model(**batch).loss
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                    bar.update()
                optimizer.step()
                if accelerator.sync_gradients:
                    schedule.step()
                optimizer.zero_grad()
            losses.append(accelerator.reduce(loss.detach(), "mean").item())
        scores = evaluate(model, loaders["validation"], accelerator) if "validation" in loaders else {}
        history.append({"epoch": epoch + 1, "loss": float(np.mean(losses))} | scores)
        accelerator.print(history[-1])
        accelerator.save_state(str(out / "checkpoint" / f"epoch-{epoch + 1}"))
        if accelerator.is_main_process:
            shutil.rmtree(out / "checkpoint" / f"epoch-{epoch}", ignore_errors=True)
    scores = {
        f"{part}_{name}": value
        for part in ("validation", "test")
        if part in loaders
        for name, value in evaluate(model, loaders[part], accelerator).items()
    }

    # what a user of the result needs: weights, configuration, processor, and a card made from the record of the run
    if accelerator.is_main_process:
        accelerator.unwrap_model(model).save_pretrained(out)
        initial.processor(args.modality).save_pretrained(out)
        record.complete(initial.model, scores, history, steps, accelerator.device, accelerator.num_processes)
        record.write()
        write_card(out)
        shutil.rmtree(out / "checkpoint", ignore_errors=True)
        if args.push_to_hub:
            accelerator.print("pushed to", push(out, args.push_to_hub)["url"])
    accelerator.end_training()


if __name__ == "__main__":
    main()
