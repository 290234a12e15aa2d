"""Pages that stand alone: one HTML file with its style, script and data, which loads nothing from anywhere."""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..palette import colors_of, ink_on

HERE = Path(__file__).parent
# what a page may load: itself, and a clip that lies near it, is part of it or is opened by the user
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; media-src 'self' file: blob: data:; "
    "base-uri 'none'; form-action 'none'"
)
NOTICE = (
    "Shown is the expression in voice and face, not what someone feels. It must not be used to judge people at work "
    "or in education (EU AI Act, Article 5)."
)


@cache
def _environment(folders: tuple[Path, ...]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": clock, "percent": percent}
    return environment


def render_page(
    template: str,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    labels: Sequence[str] = (),
    data: Any = None,
    folder: Path = HERE,
    **facts: Any,
) -> str:
    """The text of a page.

    Args:
        template: a file of `folder`, which extends `base.html.jinja`.
        styles: style sheets behind `base.css`, files of `folder`.
        scripts: files of `folder` behind `base.js`; they share one scope.
        labels: classes whose colors are the style classes `emotion-0`, ...; the last one is `uncertain`.
        data: JSON values that scripts read from the element `data`.
        folder: of files beside those of this one.
        facts: what the template needs.
    """
    style = "\n".join(_text(folder, name) for name in ("base.css", *styles)) + _color_rules(labels)
    script = "\n".join(_text(folder, name) for name in ("base.js", *scripts))
    script = f'"use strict";\n(() => {{\n{script}\n}})();\n'
    policy = POLICY.format(script=_digest(script), style=_digest(style))
    # a text in the data must not end its element
    packed = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = _environment((folder, HERE)).get_template(template)
    return page.render(policy=policy, style=style, script=script, data=packed, notice=NOTICE, **facts) + "\n"


def _text(folder: Path, name: str) -> str:
    own = folder / name
    return (own if own.is_file() else HERE / name).read_text(encoding="utf-8").rstrip()


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _color_rules(labels: Sequence[str]) -> str:
    """Of each class its color `--color`, and `--on-color` of text on it."""
    return "\n" + "".join(
        f".emotion-{number} {{ --color: {color}; --on-color: {ink_on(color)}; }}\n"
        for number, color in enumerate(colors_of(labels).values())
    )


def pack(values: Sequence[float | None], step: float, bits: int, low: float = 0.0) -> dict[str, Any]:
    """Numbers as a text that scripts unpack.

    Args:
        values: numbers from `low`; `None` is no value.
        step: to which they are rounded.
        bits: of an unsigned integer for each: 8, 16 or 32. Its largest one is no value, larger numbers are cut off.
        low: the smallest.

    Returns:
        `step`, `bits`, `low`, and `base64` of the integers, little-endian.
    """
    missing = 2**bits - 1
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    codes = np.rint((numbers - low) / step).clip(0, missing - 1)
    codes = np.where(np.isnan(codes), missing, codes).astype(f"<u{bits // 8}")
    return {"step": step, "bits": bits, "low": low, "base64": base64.b64encode(codes.tobytes()).decode()}


def clock(seconds: float | None) -> str:
    """`1:02:03` or `2:03`; below ten seconds, `4.5 s`."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def percent(fraction: float | None) -> str:
    """`12 %`, or a dash of `None`."""
    return "-" if fraction is None else f"{100 * fraction:.0f} %"


__all__ = ["clock", "pack", "percent", "render_page"]
