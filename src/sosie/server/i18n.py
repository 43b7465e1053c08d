"""The page's words, one file a language in ``strings/``; English fills what a translation lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

__all__ = ["LANGUAGES", "UNITS", "Words", "choose_language", "local_number", "words"]

LANGUAGES = ("en", "fr")
UNITS = {"en": ("B", "kB", "MB", "GB"), "fr": ("o", "ko", "Mo", "Go")}
_FRENCH = str.maketrans({",": "\u202f", ".": ","})  # a narrow space between thousands, a comma before decimals


class Words:
    """Look up and fill in texts of one language."""

    def __init__(self, lang: str, texts: Mapping[str, str]) -> None:
        self.lang = lang
        self._texts = texts

    def __call__(self, key: str, **values: object) -> str:
        """Return a text; with ``n``, its singular or plural where it has both."""
        text = self._texts.get(key)
        if text is None and "n" in values:
            text = self._texts[f"{key}.one" if self._is_one(values["n"]) else f"{key}.other"]
        if text is None:
            raise KeyError(f"no text is called {key!r}: add it to strings/en.json")
        return text.format(**values) if values else text

    def of(self, table: str, code: str) -> str:
        """Return the words for a code of ``reason``, ``way`` or ``problem``; a code of a plug-in stands for itself."""
        return self._texts.get(f"{table}.{code}") or self._texts.get(f"{table}.other", code)

    def some(self, prefix: str) -> dict[str, str]:
        """Return the texts whose key starts with ``prefix``, for a script."""
        return {key: text for key, text in self._texts.items() if key.startswith(prefix)}

    def _is_one(self, n: object) -> bool:
        # French counts nought as one.
        return n == 1 or (self.lang == "fr" and n == 0)


@cache
def words(lang: str) -> Words:
    """Return the words of a language."""
    return Words(lang, {**_texts("en"), **_texts(lang)})


def local_number(text: str, lang: str) -> str:
    """Return a number that is written in English as a language writes it."""
    return text.translate(_FRENCH) if lang == "fr" else text


def choose_language(asked: str | None, kept: str | None, accepted: str) -> str:
    """Return the language of a page: asked for, else kept in a cookie, else the browser's, else English."""
    for wish in (asked, kept):
        if wish in LANGUAGES:
            return str(wish)
    for part in accepted.lower().split(",")[:10]:
        wish = part.partition(";")[0].strip().partition("-")[0]
        if wish in LANGUAGES:
            return wish
    return "en"


def _texts(lang: str) -> dict[str, str]:
    text = resources.files("sosie.server").joinpath("strings", f"{lang}.json").read_text("utf-8")
    return dict(json.loads(text))
