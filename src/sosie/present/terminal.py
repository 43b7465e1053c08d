"""Pictures on a terminal: which protocol it speaks, and a strip of thumbnails in that protocol.

Protocols: ``kitty`` (the graphics protocol of kitty, also Ghostty and WezTerm), ``iterm2`` (inline images of iTerm2),
``blocks`` (half blocks in 24-bit colour: any modern terminal, coarse).
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from sosie.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Protocol", "choose_protocol", "detect", "strip"]

Protocol = Literal["kitty", "iterm2", "blocks"]
_TILE = 160  # pixels a thumbnail in the strip
_TILE_COLUMNS = 12  # and the terminal columns that it takes
_CHUNK = 4096  # bytes of base64 a message, as the kitty protocol has it


def choose_protocol(wish: str, *, is_terminal: bool, env: Mapping[str, str] | None = None) -> Protocol | None:
    """Return how to show pictures, or None for not at all; raise UsageError for an unknown wish.

    ``auto`` shows them only on a terminal that says it can; ``always`` falls back on blocks.
    """
    if wish not in ("auto", "always", "never"):
        raise UsageError(f"--thumbnails is auto, always or never, not {wish!r}")
    if wish == "never" or (wish == "auto" and not is_terminal):
        return None
    return detect(os.environ if env is None else env) or ("blocks" if wish == "always" else None)


def detect(env: Mapping[str, str]) -> Protocol | None:
    """Return the protocol that the environment's terminal speaks; None inside a multiplexer, which swallows it."""
    if "TMUX" in env or env.get("TERM", "").startswith(("screen", "tmux")):
        return None
    program = env.get("TERM_PROGRAM", "").lower()
    if (
        env.get("TERM") in ("xterm-kitty", "xterm-ghostty")
        or "KITTY_WINDOW_ID" in env
        or program in ("ghostty", "wezterm")
    ):
        return "kitty"
    if program == "iterm.app" or env.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return None


def strip(pictures: Sequence[bytes | None], protocol: Protocol, *, columns: int = 80) -> str:
    """Return what to write so that the pictures appear beside each other, as many as fit, and the cursor is below."""
    shown = list(pictures)[: max(1, columns // _TILE_COLUMNS)]
    image = _montage(shown)
    if protocol == "blocks":
        return _blocks(image, width=_TILE_COLUMNS * len(shown))
    if protocol == "kitty":
        return _kitty(image, width=_TILE_COLUMNS * len(shown))
    return _iterm2(image, width=_TILE_COLUMNS * len(shown))


def _montage(pictures: Sequence[bytes | None]) -> Image.Image:
    from PIL import Image, ImageOps

    from sosie.present.thumbnails import small_jpeg

    sheet = Image.new("RGB", (_TILE * len(pictures), _TILE), (24, 25, 28))
    for place, data in enumerate(pictures):
        jpeg = None if data is None else small_jpeg(data, side=_TILE)
        if jpeg is not None:
            tile = ImageOps.contain(Image.open(io.BytesIO(jpeg)), (_TILE - 8, _TILE - 8))
            sheet.paste(tile, (place * _TILE + (_TILE - tile.width) // 2, (_TILE - tile.height) // 2))
    return sheet


def _encoded(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def _kitty(image: Image.Image, *, width: int) -> str:
    """Transmit a PNG and show it at once (a=T, f=100), in chunks; q=2 keeps the terminal from answering."""
    data = _encoded(image, "PNG")
    chunks = [data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK)]
    out = []
    for number, chunk in enumerate(chunks):
        control = f"a=T,f=100,q=2,c={width}," if number == 0 else ""
        more = 0 if number == len(chunks) - 1 else 1
        out.append(f"\x1b_G{control}m={more};{chunk}\x1b\\")
    return "".join(out) + "\n"


def _iterm2(image: Image.Image, *, width: int) -> str:
    return f"\x1b]1337;File=inline=1;width={width};preserveAspectRatio=1:{_encoded(image, 'JPEG')}\x07\n"


def _blocks(image: Image.Image, *, width: int) -> str:
    """Two pixels a character: the upper half in the foreground's colour, the lower in the background's."""
    rows = max(1, round(image.height * width / image.width / 2))
    small = image.resize((width, rows * 2))
    pixels = small.load()
    assert pixels is not None
    lines = []
    for y in range(0, rows * 2, 2):
        cells = (f"\x1b[38;2;{_rgb(pixels[x, y])};48;2;{_rgb(pixels[x, y + 1])}m▀" for x in range(width))
        lines.append("".join(cells) + "\x1b[0m\n")
    return "".join(lines)


def _rgb(pixel: object) -> str:
    assert isinstance(pixel, tuple)
    return ";".join(str(channel) for channel in pixel)
