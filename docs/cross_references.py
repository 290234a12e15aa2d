"""An extension of griffe: what docstrings call [`Name`], as those of transformers do, becomes a link or code."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import griffe

REFERENCE = Path(__file__).parent / "reference"
NAMED = re.compile(r"\[`~?([\w.]+)`\](?![\[(])")  # no brackets of a link behind it


def shown_names() -> list[str]:
    """Full names of the objects that the pages of the reference show."""
    pages = sorted(REFERENCE.glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), flags=re.M)]


def linked(docstring: str, targets: dict[str, list[str]]) -> str:
    """A docstring whose names are links to what the reference shows, and code where it does not, or not one alone.

    Args:
        docstring: as it is written.
        targets: full names by the last part of each, and by the last two.
    """

    def link(match: re.Match) -> str:
        found = targets.get(match[1], [])
        return f"[`{match[1]}`][{found[0]}]" if len(found) == 1 else f"`{match[1]}`"

    return NAMED.sub(link, docstring)


class LinkedNames(griffe.Extension):
    """Rewrites the docstrings of a package once it is loaded."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Rewrite all of them."""
        targets: dict[str, list[str]] = defaultdict(list)
        for name in shown_names():
            shown = pkg[name.removeprefix(f"{pkg.path}.")]
            targets[shown.name].append(shown.path)
            for member in shown.members.values() if shown.is_class else ():
                if not member.name.startswith("_") and member.has_docstring:
                    targets[f"{shown.name}.{member.name}"].append(member.path)
        for each in walk(pkg):
            if each.docstring is not None:
                each.docstring.value = linked(each.docstring.value, targets)


def walk(owner: griffe.Object | griffe.Alias) -> list[griffe.Object]:
    """An object and all below it, without what is imported from elsewhere."""
    found = [owner]
    for member in owner.members.values():
        if not member.is_alias:
            found += walk(member)
    return found
