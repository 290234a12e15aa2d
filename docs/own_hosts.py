"""A hook of mkdocs: a page that would load a script, style, font or picture from another host is an error."""

import re
from typing import Any

from mkdocs.exceptions import PluginError

# links to click on are no loads
LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=\"?(?:https?:)?//[^\">]*"
    r"|<link\b[^>]*\brel=\"?(?:stylesheet|preconnect|preload|icon)\b[^>]*\bhref=\"?(?:https?:)?//[^\">]*"
)


def on_post_page(output: str, page: Any, **kwargs: Any) -> str:
    """The page as it is.

    Raises:
        PluginError: it loads something from another host.
    """
    found = LOADS.search(output)
    if found:
        raise PluginError(f"{page.file.src_path}: loads from another host: {found[0]}")
    return output
