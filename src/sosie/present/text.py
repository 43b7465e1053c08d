"""Make any string safe to show: what could move a cursor, hide or reorder text becomes a visible escape."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote_to_bytes

__all__ = ["display_path", "is_plain", "shorten", "visible"]

# Cc control, Cf format (bidi overrides, zero width, BOM), Cs lone surrogate (non-UTF-8 bytes of a file name),
# Co private use (icon fonts of terminals), Cn unassigned, Zl and Zp line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Lone surrogates U+DC80..U+DCFF carry the raw bytes 80..FF of a name that is not UTF-8 (PEP 383).
_BYTE_LOW, _BYTE_HIGH = 0xDC80, 0xDCFF
_MAX_COMBINING = 4  # more marks on one letter than any script needs spill over the lines around it


def is_plain(char: str) -> bool:
    """Say whether a character shows itself and nothing else."""
    return (char.isascii() and char.isprintable()) or unicodedata.category(char) not in _HIDDEN


def visible(text: str) -> str:
    """Return ``text`` with every control, bidi, invisible and non-UTF-8 character as a backslash escape."""
    if text.isascii() and text.isprintable():
        return text
    out: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in {"Mn", "Me"} else 0
        out.append(char if is_plain(char) and marks <= _MAX_COMBINING else _escaped(char))
    return "".join(out)


def _escaped(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    code = ord(char)
    if _BYTE_LOW <= code <= _BYTE_HIGH:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def display_path(uri: str) -> str:
    """Return a location as people write it: ``file:///a%20b.jpg`` is ``/a b.jpg``.

    Other schemes stay percent-encoded. Hostile characters are escaped, whichever way they came in.
    """
    if not uri.startswith("file://"):
        return visible(uri)
    raw = unquote_to_bytes(uri.removeprefix("file://").encode("utf-8", "surrogatepass"))
    return visible(raw.decode("utf-8", "surrogateescape"))


def shorten(text: str, width: int) -> str:
    """Cut a path in its middle to ``width`` characters, keeping its end, where the file name is."""
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    head = max(0, (width - 1) // 4)
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]
