"""The Trainer of this package: another collator for training than for evaluation, slower steps for some parts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import IterableDataset
from transformers import Trainer, TrainerCallback


class EmotionTrainer(Trainer):
    """A [`Trainer`] in which training and evaluation may see a row differently.

    Args:
        train_collator: makes the training batches (augmentation, fresh masks); `data_collator` makes all others.
            A resumed run gets the batches that the uninterrupted one would have got.
        slow_parts: substrings of the names of parameters that were trained well before, such as `backbone.`.
        slow_rate: factor on their learning rate.
        row_weights: `(N,)`; rows of the training table are drawn with replacement in proportion to them.
        **kwargs: as for [`Trainer`].
    """

    def __init__(
        self,
        *,
        train_collator: Callable | None = None,
        slow_parts=(),
        slow_rate: float = 1.0,
        row_weights: torch.Tensor | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.train_collator = NumberedCollator(
            train_collator or self.data_collator, self.args.seed, self.args.process_index
        )
        self.add_callback(NumberBatchesCallback(self.train_collator, isinstance(self.train_dataset, IterableDataset)))
        self.row_weights = row_weights
        self.slow_parts, self.slow_rate = tuple(slow_parts), slow_rate

    def get_train_dataloader(self):
        """As in [`Trainer`], with the training collator."""
        evaluation_collator, self.data_collator = self.data_collator, self.train_collator
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = evaluation_collator

    def _get_train_sampler(self, train_dataset=None):
        """As in [`Trainer`], or rows drawn by their weights."""
        if self.row_weights is None:
            return super()._get_train_sampler(train_dataset)
        return WeightedSampler(self.row_weights, self.args.seed)

    def create_optimizer(self, model=None):
        """AdamW with a group of its own for the slow parts."""
        if self.optimizer is None:
            model = self.model if model is None else model
            decayed = set(self.get_decay_parameter_names(model))
            groups = {}
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    slow = any(part in name for part in self.slow_parts)
                    groups.setdefault((slow, name in decayed), []).append(parameter)
            optimizer_class, settings = self.get_optimizer_cls_and_kwargs(self.args, model)
            self.optimizer = optimizer_class(
                [
                    {
                        "params": parameters,
                        "lr": self.args.learning_rate * (self.slow_rate if slow else 1.0),
                        "weight_decay": self.args.weight_decay if decay else 0.0,
                    }
                    for (slow, decay), parameters in groups.items()
                ],
                **settings,
            )
        return self.optimizer


class NumberedCollator:
    """A collator whose random draws follow from the number of the batch, not from what was drawn before.

    What the model draws (dropout) does not depend on it either; with both, a run that goes on from the middle of an
    epoch is the uninterrupted one.

    Args:
        collate: makes a batch, drawing from torch's global generator.
        seed: of the run.
        rank: of the process, which makes batches of its own.
    """

    def __init__(self, collate: Callable, seed: int, rank: int = 0):
        self.collate, self.seed, self.rank = collate, seed, rank
        self.start(0)

    def start(self, number: int) -> None:
        """Number the batches that follow from `number` on."""
        self.first, self.made = number, 0

    def __call__(self, rows: list):
        """One batch; the workers of a loader make them in turn, each with its own copy of this collator."""
        worker = torch.utils.data.get_worker_info()
        turns, turn = (worker.num_workers, worker.id) if worker else (1, 0)
        number = self.first + self.made * turns + turn
        self.made += 1
        seed = np.random.SeedSequence((self.seed, self.rank, number)).generate_state(1)[0]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(seed))  # torch.manual_seed would seed the GPUs as well
            return self.collate(rows)


class NumberBatchesCallback(TrainerCallback):
    """Tells a [`NumberedCollator`] at the start of each epoch how many batches came before.

    Args:
        collator: to be told.
        is_stream: whether a resumed run makes the batches before its checkpoint anew; those of a table are skipped.
    """

    def __init__(self, collator: NumberedCollator, is_stream: bool):
        self.collator, self.is_stream, self.is_first = collator, is_stream, True

    def on_train_begin(self, args, state, control, **kwargs):
        """The first epoch of a run may start in its middle."""
        self.is_first = True

    def on_epoch_begin(self, args, state, control, **kwargs):
        """Called before the first batch of an epoch is made."""
        replays = self.is_stream and self.is_first
        self.collator.start(0 if replays else state.global_step * args.gradient_accumulation_steps)
        self.is_first = False


class WeightedSampler(torch.utils.data.Sampler):
    """As torch's `WeightedRandomSampler`, but epoch n draws the same rows in a resumed run."""

    def __init__(self, weights: torch.Tensor, seed: int):
        self.weights, self.seed, self.epoch = weights, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        yield from torch.multinomial(self.weights, len(self.weights), replacement=True, generator=generator).tolist()


class SaveProcessorCallback(TrainerCallback):
    """Writes the processor beside every checkpoint, and beside the model where that is pushed.

    A processor without tokenizer cannot be the Trainer's `processing_class`.
    """

    def __init__(self, processor):
        self.processor = processor

    def on_save(self, args, state, control, **kwargs):
        """Save the processor into the checkpoint that was just written."""
        if state.is_world_process_zero:
            self.processor.save_pretrained(str(Path(args.output_dir) / f"checkpoint-{state.global_step}"))
            if args.push_to_hub:  # from there, while training goes on
                self.processor.save_pretrained(args.output_dir)

    def on_push_begin(self, args, state, control, **kwargs):
        """Save the processor into the folder that is about to be pushed."""
        if state.is_world_process_zero:
            self.processor.save_pretrained(args.output_dir)


__all__ = ["EmotionTrainer", "NumberedCollator", "SaveProcessorCallback", "WeightedSampler"]
