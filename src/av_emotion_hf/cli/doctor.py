"""The command `doctor`: what is installed here, and whether it works."""

import json
from typing import Annotated

import typer

from .console import say
from .options import AsJson

NAME_WIDTH = 24  # characters


def doctor(
    clip: Annotated[
        str | None,
        typer.Option(
            help="Clip to predict; by default one with a drawn face and a synthetic voice.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the installation: versions, readers, detectors, devices, Hub, checkpoints, and one prediction."""
    from ..inference.doctor import examine

    found = []
    for finding in examine(clip):
        found.append(finding)
        if not as_json:
            say(f"{finding.status:<6}{finding.name:<{NAME_WIDTH}}{finding.found}")
            if finding.remedy is not None:
                say(f"{'':<{6 + NAME_WIDTH}}{finding.remedy}")
    failed, notes = (sum(one.status == status for one in found) for status in ("fail", "note"))
    if as_json:
        say(json.dumps({"ok": not failed, "findings": [one.as_dict() for one in found]}, ensure_ascii=False))
    else:
        say(f"\n{'predictions work' if not failed else f'{failed} failed'}, {notes} note(s)")
    if failed:
        raise typer.Exit(1)


__all__ = ["doctor"]
