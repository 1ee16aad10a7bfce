"""Foreign text made safe for Markdown: names, messages and reasons that models, releases and specs bring along.

Nothing that comes from outside may end a table cell, start a heading, become HTML, mention a person or lead anywhere
but to http(s).
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote as percent_encoded
from urllib.parse import urlsplit

from matrix.state import ROOT

_BREAK = "\u200b"
"""A zero-width space: GitHub looks for mentions and issue numbers after it has decoded entities."""

_QUOTE = "\x00"

_MARKUP = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_LEADING = re.compile(r"^(?:[#+=-]+|\d+(?=[.)](?:\s|$)))(?=[\s.)]|$)")
"""What would start a heading, a list or a rule at the start of a line."""
_URL_SAFE = ":/?#@!$&'*+,;=%~-._"


class Markdown(str):
    """Text that is Markdown already and must not be escaped again."""

    __slots__ = ()


def text(foreign: object) -> Markdown:
    """Foreign text on one line of prose or in a table cell."""
    return _escaped(one_line(foreign))


def quote(foreign: str) -> str:
    """Foreign text that `prose` is to show as code."""
    # one_line leaves no control character, so the marks cannot be forged
    return f"{_QUOTE}{one_line(foreign)}{_QUOTE}"


def plain(sentence: str) -> str:
    """A sentence of ours for a terminal: what was quoted stands bare."""
    return sentence.replace(_QUOTE, "").replace("`", "")


def ticked(sentence: str) -> Markdown:
    """A sentence of ours, escaped all the same, with what stands between backticks as code."""
    pieces = sentence.split("`")
    return prose("".join(quote(piece) if index % 2 else piece for index, piece in enumerate(pieces)))


def capital(sentence: str) -> str:
    """A sentence's first letter as a capital, unless it begins with a name."""
    return sentence[:1].upper() + sentence[1:] if re.match(r"[a-z]+[ ,:;]", sentence) else sentence


def prose(sentence: str) -> Markdown:
    """A sentence of ours, escaped all the same, with what was quoted as code."""
    parts = sentence.split(_QUOTE)
    return Markdown("".join(code(part) if index % 2 else _escaped(part) for index, part in enumerate(parts)))


def _escaped(line: str) -> Markdown:
    line = _MARKUP.sub(lambda found: "\\" + found[0], line.translate(_ENTITIES))
    line = _LEADING.sub(lambda found: found[0] + "\\" if found[0].isdigit() else "\\" + found[0], line)
    return Markdown(re.sub(r"@(?=\w)|#(?=\d)", lambda found: found[0] + _BREAK, line))


def code(foreign: object) -> Markdown:
    """Foreign text as a code span in prose; the fence is longer than any run of backticks inside."""
    line = one_line(foreign)
    if not line:
        return Markdown("")
    ticks = "`" * (_longest_run(line) + 1)
    room = " " if line.startswith("`") or line.endswith("`") else ""
    return Markdown(f"{ticks}{room}{line}{room}{ticks}")


def fence(foreign: str, *, lines: int = 20, characters: int = 2000, language: str = "text") -> Markdown:
    """Foreign text as a fenced block of bounded size, highlighted as `language`; what is left out is said."""
    whole = [_visible(line) for line in portable(foreign).strip("\n").rstrip().splitlines()]
    kept = "\n".join(whole[:lines])[:characters]
    cut = "\n[…]" if len(kept) < len("\n".join(whole)) else ""
    ticks = "`" * max(3, _longest_run(kept) + 1)
    return Markdown(f"{ticks}{language}\n{kept}{cut}\n{ticks}")


def link(label: str, url: str) -> Markdown:
    """A link to an http(s) address; any other address becomes plain text."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return text(f"{label}: {url}")
    # brackets of all kinds are quoted, so the address cannot end the link
    return Markdown(f"[{text(label)}]({percent_encoded(url, safe=_URL_SAFE)})")


def one_line(foreign: object, *, limit: int = 400) -> str:
    """Foreign text without line breaks, control characters and this machine's folders, cut at a limit."""
    line = " ".join(_visible(portable(str(foreign))).split())
    return line if len(line) <= limit else f"{line[:limit].rstrip()} […]"


def portable(foreign: str) -> str:
    """Foreign text without the project's folder and the user's home, which say nothing to another reader."""
    home = str(Path.home())
    shorter = re.sub(re.escape(str(ROOT)) + r"(?![\w.-])", ".", foreign)
    # a user without a home of their own has "/", which is in every path
    return re.sub(re.escape(home) + r"(?![\w.-])", "~", shorter) if len(home) > 1 else shorter


def _visible(foreign: str) -> str:
    """Control, direction and surrogate characters become spaces: they hide or reorder what a reader sees."""
    return "".join(character if character.isprintable() else " " for character in foreign)


def _longest_run(foreign: str) -> int:
    return max(map(len, re.findall(r"`+", foreign)), default=0)
