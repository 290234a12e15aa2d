"""Commands that make and move data: extract, push."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..utils import require_writable
from .console import base_name, quietly, report, report_reading, split_names
from .options import (
    AsJson,
    Augment,
    Config,
    Dataset,
    Detector,
    Device,
    ExcludeGroups,
    ExtractModality,
    Form,
    Fps,
    GroupColumn,
    Init,
    Limit,
    Person,
    Readers,
    Speaker,
    SpeechEncoder,
    SpeechLayers,
    Split,
    Streaming,
    chosen_person,
)

TABLES = ("descriptors", "functionals")


def extract(
    dataset: Dataset,
    out: Annotated[str, typer.Option(help="Folder to write (a file for descriptors and functionals).")],
    modality: Annotated[ExtractModality, typer.Option(help="What to read from a clip.")] = "both",
    form: Annotated[
        Form,
        typer.Option(
            "--as",
            help="inputs: audio and face crops; features: what frozen layers compute from them; of voices also "
            "descriptors (a row per 10 ms) and functionals (a row per clip), as one .parquet or .csv file.",
        ),
    ] = "inputs",
    descriptors: Annotated[
        str | None, typer.Option(help="Names or families for --as descriptors; default: egemaps,voiced")
    ] = None,
    deltas: Annotated[bool, typer.Option("--deltas", help="Add the slope of each descriptor over time.")] = False,
    init: Init = None,
    speech_encoder: SpeechEncoder = None,
    speech_layers: SpeechLayers = None,
    config: Config = None,
    augment: Augment = None,
    copies: Annotated[
        int | None, typer.Option(help="Augmented copies of each clip for --augment.", min=1, show_default="1")
    ] = None,
    split: Split = None,
    streaming: Streaming = False,
    group_column: GroupColumn = None,
    exclude_groups: ExcludeGroups = None,
    limit: Limit = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    person: Person = "largest",
    speaker: Speaker = None,
    window: Annotated[float, typer.Option(help="Seconds; a longer clip becomes several rows.", min=1)] = 60.0,
    rows_per_shard: Annotated[int, typer.Option(help="Clips per Parquet file.", min=1)] = 500,
    device: Device = "auto",
    workers: Readers = None,
    as_json: AsJson = False,
) -> None:
    """Read clips once; write inputs or features as Parquet for the training commands, or a table of their voices."""
    from ..data.selection import open_selection

    person = chosen_person(person, speaker)
    if form in TABLES and modality != "audio":
        raise InputError(f"--as {form} describes voices, not --modality {modality}: add --modality audio")
    if (descriptors or deltas) and form != "descriptors":
        raise InputError(f"--descriptors and --deltas are for --as descriptors, not for --as {form}")
    if not Path(out).exists():  # else it may be finished
        require_writable(out, is_folder=form not in TABLES)
    if speech_encoder and form != "features":
        raise InputError(f"--speech-encoder {speech_encoder} computes features, not {form}: add --as features")
    if speech_encoder and modality == "image":
        raise InputError(f"--speech-encoder {speech_encoder} is for voices, not for --modality image")
    if config and form != "features":
        raise InputError(f"--config is for the model that computes features, not {form}: add --as features")
    if copies is not None and augment is None:
        raise InputError(f"--copies {copies}: are made by --augment; add it, or leave --copies out")
    if augment is not None and (form != "features" or modality != "audio"):
        raise InputError(
            f"--augment makes copies of voices for --as features --modality audio, not for --as {form} --modality "
            f"{modality}; finetune --augment changes clips while it trains"
        )
    probabilities = _copy_augmentations(augment) if augment is not None else None
    excluded = split_names(exclude_groups)
    rows = open_selection(dataset, split, streaming, group_column=group_column, exclude_groups=excluded, limit=limit)
    metadata: dict[str, Any] = {"dataset": base_name(dataset)}
    if form in TABLES:
        from ..acoustics.tables import write_table

        names = split_names(descriptors) or ["egemaps", "voiced"]
        summary = quietly(write_table, rows, out, form, names, deltas, metadata=metadata)
    else:
        from ..checkpoints import load_speech_encoder
        from ..data import ClipReader, FeatureReader
        from ..data.extraction import extract as run
        from ..devices import available_cores, choose_device
        from ..training import read_config_overrides

        metadata |= {
            "excluded_groups": excluded,
            "modality": modality,
            "as": form,
            "init": [base_name(checkpoint) for checkpoint in init or []],
        }
        if speech_encoder:
            metadata |= {"speech_encoder": base_name(speech_encoder), "speech_layers": speech_layers}
        features = None
        if form == "features":
            choice = choose_device(device)
            typer.echo(str(choice), err=True)
            backbone = load_speech_encoder(speech_encoder, speech_layers)
            features = FeatureReader.from_checkpoints(
                modality, init or [], choice.device, backbone, read_config_overrides(config)
            )
        summary = quietly(
            run,
            rows,
            out,
            ClipReader(modality, fps=fps, detector=detector, person=person, window=window),
            features,
            rows_per_shard=rows_per_shard,
            workers=available_cores() if workers is None else workers,
            metadata=metadata,
            augment=probabilities,
            copies=copies or 1,
        )
    report_reading(summary, as_json, out)


def _copy_augmentations(augment: str) -> dict[str, float]:
    """Probabilities for copies, from JSON text or a JSON file, before anything is opened."""
    from ..data.augmentation import check_probabilities
    from ..data.extraction import COPYABLE
    from ..training import read_config_overrides

    return check_probabilities(read_config_overrides(augment, "--augment"), COPYABLE)


def push(
    folder: Annotated[str, typer.Argument(help="A checkpoint, or what `extract` wrote.")],
    repo: Annotated[str, typer.Argument(help="NAME or USER/NAME; created if it does not exist.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; created if it does not exist.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be uploaded, and upload nothing.")
    ] = False,
    license_name: Annotated[
        str | None, typer.Option("--license", help="For the card, as the Hub names it, such as cc-by-4.0.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Upload a checkpoint or extracted shards to the Hub, with the code that loads it and a card."""
    from ..hub.push import push as run

    result = quietly(run, folder, repo, private, revision, dry_run, license_name)
    for name in result.get("kept", ()):
        typer.echo(f"{name} was edited on the Hub and is kept as it is there", err=True)
    lines = [f"{file['bytes']:>14,}  {file['path']}" for file in result["files"]] if dry_run else []
    outcome = "would be uploaded" if dry_run else f"are at {result['url']}"
    lines.append(f"{len(result['files'])} files, {result['bytes'] / 1e6:.1f} MB, {outcome} ({result['kind']})")
    report(result, as_json, "\n".join(lines))


__all__ = ["extract", "push"]
