"""The command `combine`: two models to one."""

from typing import Annotated, Any, Literal

import typer

from .console import base_name, report, show_outcome
from .options import DATA, AsJson, Detector, Device, Fps

LateRule = Literal["product", "mean"]


def combine(
    voice: Annotated[str, typer.Argument(help="Classifier of voices.")],
    face: Annotated[str, typer.Argument(help="Classifier of faces.")],
    out: Annotated[str, typer.Option(help="Folder to write.")],
    late_rule: Annotated[LateRule, typer.Option(help="How the two distributions are combined.")] = "product",
    temperatures: Annotated[
        str | None,
        typer.Option(
            help='Known temperatures of clips with a voice, a face and both, as JSON: {"both": 1.2}',
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Labeled clips with voice and face, of people that neither model has learned from: they make scores "
            "as high as they are often right.",
            show_default=False,
        ),
    ] = None,
    label_column: Annotated[str, typer.Option(help="Column of their label.", rich_help_panel=DATA)] = "emotion",
    fps: Fps = 10.0,
    detector: Detector = "auto",
    batch_size: Annotated[int, typer.Option(help="Clips per step.", min=1)] = 16,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Make one classifier of voice and face out of two, by late fusion and without training."""
    from ..data.reader import ReaderOptions
    from ..data.selection import open_selection
    from ..training import read_config_overrides
    from ..training.combination import combine as recipe

    options = ReaderOptions(fps=fps, detector=detector)
    rows = None if calibration is None else open_selection(calibration, label_column=label_column)

    def show(record: dict[str, Any]) -> None:
        labels = record["settings"]["labels"]
        line = f"{out}: {len(labels)} classes, {record['parameters'] / 1e6:.1f} M parameters"
        if "calibration" in record:
            fitted = record["calibration"]["both"]
            line += f", calibration error {fitted['before']['ece']:.3f} before and {fitted['after']['ece']:.3f} after"
        report(record, as_json, line)

    show_outcome(
        show,
        recipe,
        voice,
        face,
        out,
        late_rule=late_rule,
        temperatures=read_config_overrides(temperatures, "--temperatures") or None,
        calibration=rows,
        label_column=label_column,
        batch_size=batch_size,
        reader_options=options,
        device=device,
        metadata={} if calibration is None else {"dataset": base_name(calibration)},
    )


__all__ = ["combine"]
