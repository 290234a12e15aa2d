"""The Trainer of this package: streams and masks that a resumed run continues exactly, slower rates for some parts."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import IterableDataset
from transformers import TrainerCallback
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import TrainOutput, get_last_checkpoint

from ..data.clip_stream import ClipStream
from ..data.draws import numbered_draws
from ..data.stream_loader import StreamLoader
from ..errors import Failure
from ..models.speech_backbone_av_emotion import SpeechBackbone
from .atomic_checkpoints import SafeTrainer
from .throughput import FramesProgressCallback, Throughput


class EmotionTrainer(SafeTrainer):
    """A [`Trainer`] in which training and evaluation may see a row differently.

    A stream is read by a [`StreamLoader`], whose position is saved with every checkpoint; the log has the frames per
    second of all processes together. `slow_parts` and `slow_rate` of [`EmotionTrainingArguments`] set another learning
    rate for parameters that are trained already, and `layer_decay` a lower one for each layer of a speech backbone
    than for the layer above it (Howard and Ruder 2018; as a power, Clark et al. 2020).

    Args:
        train_collator: makes the training batches (augmentation, fresh masks); `data_collator` makes all others.
            A resumed run has the batches that the uninterrupted one would have had.
        row_weights: `(N,)`; rows of the training table are drawn with replacement in proportion to them.
        **kwargs: as for [`Trainer`].
    """

    loss_is_scaled_for_ga = False  # whoever computes the loss, it is the mean over a batch

    def __init__(
        self,
        *,
        train_collator: Callable | None = None,
        row_weights: torch.Tensor | None = None,
        **kwargs: Any,
    ):
        if isinstance(kwargs.get("train_dataset"), IterableDataset):
            kwargs["train_dataset"] = ClipStream(kwargs["train_dataset"])
        super().__init__(**kwargs)
        self.stream = self.train_dataset if isinstance(self.train_dataset, ClipStream) else None
        if self.stream is not None:
            self.args.ignore_data_skip = True  # it continues by itself
        self.throughput = Throughput(self.model)
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(FramesProgressCallback())
        self.stream_loader: StreamLoader | None = None
        self.resumed_from: str | None = None
        self.train_collator = NumberedCollator(
            train_collator or self.data_collator, self.args.seed, self.args.process_index
        )
        self.add_callback(NumberBatchesCallback(self.train_collator))
        self.row_weights = row_weights

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """As in [`Trainer`]; a stream continues after what the checkpoint has seen."""
        if resume_from_checkpoint is True:
            self.resumed_from = get_last_checkpoint(str(self.args.output_dir))
        else:
            self.resumed_from = resume_from_checkpoint or None
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def get_train_dataloader(self):
        """As in [`Trainer`], with the training collator; of a stream a loader that needs no preparation."""
        if self.stream is not None:
            self.stream_loader = self._load_stream(self.stream)
            return self.stream_loader
        evaluation_collator, self.data_collator = self.data_collator, self.train_collator
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = evaluation_collator

    def _load_stream(self, stream: ClipStream) -> StreamLoader:
        loader = StreamLoader(
            stream,
            self.train_collator.make,
            self.args.train_batch_size,
            self.args.dataloader_num_workers,
            self.args.seed,
            self.args.process_index,
            self.args.world_size,
            self.args.max_steps * self.args.gradient_accumulation_steps,
            pin_memory=self.args.dataloader_pin_memory,
        )
        if self.resumed_from is not None:
            loader.load_state_dict(self.rank_state(self.resumed_from)["stream"])
        return loader

    def skipped(self) -> list[Failure]:
        """What of a stream was skipped by any process: `clip`, `row` or `shard`, as far as known, and `error`."""
        failures = gather_object(self.stream_loader.failures if self.stream_loader is not None else [])
        return [failure for number, failure in enumerate(failures) if failure not in failures[:number]]

    def state_of_rank(self) -> dict:
        """What a checkpoint stores of this process."""
        return {"stream": self.stream_loader.state_dict()} if self.stream_loader is not None else {}

    def get_batch_samples(self, *args, **kwargs):
        """As in [`Trainer`]; the frames are counted."""
        samples = super().get_batch_samples(*args, **kwargs)
        self.throughput.count(samples[0])
        return samples

    def _maybe_log_save_evaluate(self, *args, **kwargs):
        with self.throughput.paused():
            super()._maybe_log_save_evaluate(*args, **kwargs)

    def log(self, logs: dict, start_time: float | None = None) -> None:
        """As in [`Trainer`], with `frames_per_second`; the epochs of a stream are passes over the dataset."""
        if "loss" in logs:
            logs["frames_per_second"] = self.throughput.rate(self.accelerator)
        if self.stream_loader is not None:
            self.state.epoch = round(self.stream_loader.passes, 4)
        super().log(logs, start_time)

    def _get_train_sampler(self, train_dataset=None):
        """As in [`Trainer`], or rows drawn by their weights."""
        if self.row_weights is None:
            return super()._get_train_sampler(train_dataset)
        return WeightedSampler(self.row_weights, self.args.seed)

    def create_optimizer(self, model=None):
        """AdamW with groups of their own for the slow parts and for each layer of a speech backbone."""
        if self.optimizer is None:
            model = self.model if model is None else model
            # plain `TrainingArguments` know no slow parts
            slow_parts: Sequence[str] = getattr(self.args, "slow_parts", ())
            slow_rate = getattr(self.args, "slow_rate", 1.0)
            layer_decay = getattr(self.args, "layer_decay", 1.0)
            layers_above: dict[torch.nn.Parameter, int] = {}
            for module in model.modules():
                if isinstance(module, SpeechBackbone):
                    layers_above |= module.layers_above()
            decayed = set(self.get_decay_parameter_names(model))
            groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    rate = self.args.learning_rate * layer_decay ** layers_above.get(parameter, 0)
                    if any(part in name for part in slow_parts):
                        rate *= slow_rate
                    groups.setdefault((rate, name in decayed), []).append(parameter)
            optimizer_class, settings = self.get_optimizer_cls_and_kwargs(self.args, model)
            self.optimizer = optimizer_class(
                [
                    {
                        "params": parameters,
                        "lr": rate,
                        "weight_decay": self.args.weight_decay if decay else 0.0,
                    }
                    for (rate, decay), parameters in groups.items()
                ],
                **settings,
            )
        return self.optimizer


class NumberedCollator:
    """A collator whose random draws depend on the number of the batch, not on what was drawn before.

    What the model draws (dropout) does not depend on it either; with both, a run that resumes in the middle of an
    epoch equals the uninterrupted one.

    Args:
        collate: makes a batch, drawing from torch's global generator.
        seed: of the run.
        rank: of the process, which makes batches of its own.
    """

    def __init__(self, collate: Callable, seed: int, rank: int = 0):
        self.collate, self.seed, self.rank = collate, seed, rank
        self.start(0)

    def start(self, number: int) -> None:
        """Number the following batches from `number` on."""
        self.first, self.made = number, 0

    def __call__(self, rows: list) -> Any:
        """One batch; the workers of a loader make them in turn, each with its own copy of this collator."""
        worker = torch.utils.data.get_worker_info()
        turns, turn = (worker.num_workers, worker.id) if worker else (1, 0)
        self.made += 1
        return self.make(self.first + (self.made - 1) * turns + turn, rows)

    def make(self, number: int, rows: list) -> Any:
        """The batch of a given number."""
        with numbered_draws(self.seed, self.rank, number):
            return self.collate(rows)


class NumberBatchesCallback(TrainerCallback):
    """Tells a [`NumberedCollator`] at the start of each epoch how many batches came before.

    Args:
        collator: to be told.
    """

    def __init__(self, collator: NumberedCollator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        """Called before the first batch of an epoch is made."""
        self.collator.start(state.global_step * args.gradient_accumulation_steps)


class ThawCallback(TrainerCallback):
    """Lets parameters learn only after the first epochs.

    Args:
        parameters: that are frozen.
        epochs: how long.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], epochs: int):
        self.parameters, self.epochs = parameters, epochs

    def on_epoch_begin(self, args, state, control, **kwargs):
        """Freeze or thaw."""
        for parameter in self.parameters:
            parameter.requires_grad_(state.epoch >= self.epochs)


class WeightedSampler(torch.utils.data.Sampler):
    """As torch's `WeightedRandomSampler`, but epoch n draws the same rows in a resumed run."""

    def __init__(self, weights: torch.Tensor, seed: int):
        self.weights, self.seed, self.epoch = weights, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        yield from torch.multinomial(self.weights, len(self.weights), replacement=True, generator=generator).tolist()


class SaveProcessorCallback(TrainerCallback):
    """Saves the processor beside every checkpoint, and beside the model where that is pushed.

    A processor without tokenizer cannot be the Trainer's `processing_class`.
    """

    def __init__(self, processor: Any):
        self.processor = processor

    def on_save(self, args, state, control, **kwargs):
        """Save the processor into the checkpoint that was just written."""
        if state.is_world_process_zero:
            self.processor.save_pretrained(str(Path(args.output_dir) / f"checkpoint-{state.global_step}"))
            if args.push_to_hub:  # from there, while training continues
                self.processor.save_pretrained(args.output_dir)

    def on_push_begin(self, args, state, control, **kwargs):
        """Save the processor into the folder that is about to be pushed."""
        if state.is_world_process_zero:
            self.processor.save_pretrained(args.output_dir)


__all__ = ["EmotionTrainer", "NumberedCollator", "SaveProcessorCallback", "ThawCallback", "WeightedSampler"]
