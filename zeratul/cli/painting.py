"""Colours for an explanation's text; the text itself stays what every contract shows."""

from __future__ import annotations

from rich.text import Text

_LINES = r"[│├└─]+"
_YES = r"\b(yes|allowed)\b|✓"
_NO = r"\b(no|not|denied)\b|✗"
_NAME = r"[A-Za-z_][\w-]*:[^\s#@]+(#[\w-]+)?(@\S+)?"


def painted(tree: str) -> Text:
    """The tree with its lines, decisions and names told apart by colour."""
    text = Text(tree)
    text.highlight_regex(_LINES, "dim")
    text.highlight_regex(_YES, "bold green")
    text.highlight_regex(_NO, "bold red")
    text.highlight_regex(_NAME, "cyan")
    return text
