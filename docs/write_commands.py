"""Write `commands.md`, the reference of the command line, from the functions that typer makes it of.

python docs/write_commands.py
"""

import inspect
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from typer.models import ArgumentInfo, CommandInfo

from av_emotion_hf.cli import app

PAGE = Path(__file__).parent / "commands.md"
INTRODUCTION = """\
# Commands

`av-emotion COMMAND --help` says the same. A mistake is one line on standard error and exit status 2. Defaults stand in
brackets; options without one may be left out, unless they are *required*.
"""
WORDS = {str: "TEXT", int: "INTEGER", float: "NUMBER"}


def commands_page(commands: typer.Typer = app) -> str:
    """The page, of all commands in their order."""
    return "\n".join([INTRODUCTION, *(section(one) for one in commands.registered_commands if not one.hidden)])


def section(command: CommandInfo) -> str:
    """Heading, what a command does, how it is called, and its options by panel."""
    arguments, panels = [], {}
    for parameter in inspect.signature(command.callback).parameters.values():
        annotation, info = get_args(parameter.annotation)
        if isinstance(info, ArgumentInfo):
            is_list = get_origin(annotation) is list
            word = parameter.name.upper() + ("..." if is_list else "")
            arguments.append((word if parameter.default is parameter.empty else f"[{word}]", info))
        elif not info.hidden:
            panels.setdefault(info.rich_help_panel or "Options", []).append(row(parameter, annotation, info))
    usage = " ".join(["av-emotion", command.name, *(word for word, _ in arguments), "[OPTIONS]"])
    lines = [f"## {command.name}", "", *paragraphs(command.callback.__doc__), "```text", usage, "```", ""]
    lines += [f"- `{word.strip('[].')}`: {escaped(info.help)}" for word, info in arguments]
    for panel in sorted(panels, key=lambda panel: panel != "Options"):
        lines += ["", f"| {panel} | |", "|---|---|", *panels[panel]]
    return "\n".join(lines) + "\n"


def row(parameter: inspect.Parameter, annotation: Any, info: Any) -> str:
    """An option: its names, what follows it, what it does, and its default."""
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    kind = annotation if get_origin(annotation) is Literal else kinds[0]
    if get_origin(kind) is list:
        (kind,) = get_args(kind)
    # the first name given to typer.Option in Annotated is where typer looks for a default elsewhere
    given = [info.default] if isinstance(info.default, str) else []
    names = " ".join([*given, *(info.param_decls or ())]) or f"--{parameter.name.replace('_', '-')}"
    if kind is not bool:
        names += " " + ("\\|".join(get_args(kind)) if get_origin(kind) is Literal else WORDS[kind])
    default = info.show_default if isinstance(info.show_default, str) else parameter.default
    if parameter.default is parameter.empty:
        end = " *required*"
    else:
        is_said = default is not None and kind is not bool and info.show_default is not False
        end = f" [{escaped(str(default))}]" if is_said else ""
    return f"| `{names}` | {escaped(info.help)}{end} |"


def escaped(text: str) -> str:
    """A text in one line, without characters that mean something in Markdown."""
    line = " ".join(text.split())
    for character in "\\|<*_":
        line = line.replace(character, f"\\{character}")
    return line


def paragraphs(text: str) -> list[str]:
    """A docstring as lines of Markdown, an empty one after each paragraph."""
    return [line for part in inspect.cleandoc(text).split("\n\n") for line in (escaped(part), "")]


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
