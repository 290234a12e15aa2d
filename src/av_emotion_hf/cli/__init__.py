"""The command line: `av-emotion COMMAND`."""

import logging
import sys
from typing import Any

import typer

from ..errors import InputError, as_input_error
from ..utils import disk_failure
from . import benchmark, data, doctor, fusion, inference, serving, timeline, training


def end_together(*_: Any, **__: Any) -> None:
    """Let processes that train together end together: one that leaves early takes down what the others still use."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


app = typer.Typer(
    result_callback=end_together,
    help="Recognize emotion from voice and face; learn it from clips, most of them unlabeled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    inference.predict,
    inference.faces,
    timeline.timeline,
    data.extract,
    training.train_expression,
    training.pretrain,
    inference.reconstruct,
    training.finetune,
    fusion.combine,
    inference.evaluate,
    benchmark.benchmark,
    inference.export,
    serving.app,
    serving.space,
    data.push,
    doctor.doctor,
):
    app.command(command.__name__.replace("_", "-"))(command)


def main() -> None:
    """Run the command line: a user's mistake is one line on standard error and exit status 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except InputError as error:
        message = str(error)
    except Exception as error:  # of a configuration; or of a library that writes: its cache, a log, a temporary file
        # it is loaded where it was raised; `doctor` works without it
        strict = getattr(sys.modules.get("huggingface_hub.errors"), "StrictDataclassError", ())
        if isinstance(error, strict):
            message = str(as_input_error(error))
        elif (failure := disk_failure(error)) is not None:
            message = str(InputError(f"{_place_of(error)}: {failure[0]}; {failure[1]}"))
        else:
            raise
    else:
        return
    typer.echo(f"av-emotion: {message}", err=True)
    sys.exit(2)


def _place_of(error: BaseException) -> str:
    """The file that could not be written, where that is known."""
    following: BaseException | None = error
    while following is not None:
        if name := getattr(following, "filename", None):
            return str(name)
        following = following.__cause__
    return "a file could not be written, maybe in a cache (HF_HOME) or a folder of temporary files (TMPDIR)"


__all__ = ["app", "main"]
