"""Single words → vectors in the space of pictures, by a table of what a classifier tells and of the words for it.

The table is a NumPy archive (``recipes/bundled/words.py`` makes it), read without pickle: ``rows`` int8 (things, dim)
and ``scales`` (things,), whose product ranks pictures as the classifier would by each thing; ``words``, the UTF-8 of
words joined by newlines; ``members`` and ``ends``, the things that each word means, one word after the other. A word's
vector is the mean of those. What tags are made of (`sosie.embedders.tags`) lies beside them.
"""

from __future__ import annotations

import difflib
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sosie.embedders.tags import Tagger, tagger_of
from sosie.errors import UntrustedModel, UsageError
from sosie.networks.published import WITH_SENTENCES
from sosie.networks.runtime import read_described
from sosie.types import FloatMatrix

__all__ = ["MOST_LETTERS", "OwnWords", "WordTable", "WordVectors", "key_of", "keys_of", "read_vocabulary"]

MOST_LETTERS = 2_000
_LONGEST = 6  # words of one name
_NEAREST = 3
_FILLING = "a an the and of or with in on at by some my two three several photo photos picture pictures image images"
_FILLERS = frozenset(_FILLING.split())
_TOKEN = re.compile(r"[^\W_]+")

OwnWords = Callable[[Sequence[str]], "FloatMatrix | None"]
"""The vector of a name that somebody gave, by any of its keys (`keys_of`); None where it is none."""


@dataclass(frozen=True, slots=True)
class WordTable:
    """The file of a table and its digest."""

    path: Path
    sha256: str


class WordVectors:
    """The words of a table. ``name`` is that of the network, for what is said of it."""

    def __init__(
        self, things: FloatMatrix, members: Mapping[str, Sequence[int]], *, name: str, tagger: Tagger | None = None
    ) -> None:
        self._things, self._members, self._name = things, members, name
        self.tagger = tagger
        self._by_key = {key_of(word): word for word in members}

    @property
    def words(self) -> list[str]:
        """Every word that it knows, in alphabetical order."""
        return sorted(self._members)

    def vector(self, word: str) -> FloatMatrix:
        """Return the unit vector (dim,) of a known word."""
        return _unit(self._things[list(self._members[word])].mean(axis=0))

    def embed(self, text: str, own: OwnWords = lambda _keys: None) -> FloatMatrix:
        """Return the unit vector (dim,) of the words of a text, each as much as any other.

        The longest names count (``red panda`` is no ``panda``), plurals and hyphens do not matter, and ``own`` names go
        before the table's. Raises UsageError for a word that is not known, naming those that are spelled like it.
        """
        if not text.strip() or len(text) > MOST_LETTERS:
            raise UsageError(f"describe the picture in some words, at most {MOST_LETTERS} letters")
        tokens = _tokens(text)
        found, unknown, at = list[FloatMatrix](), list[str](), 0
        while at < len(tokens):
            vector, taken = self._longest(tokens[at:], own)
            if vector is not None:
                found.append(vector)
            elif tokens[at] not in _FILLERS:
                unknown.append(tokens[at])
            at += taken
        if unknown or not found:
            raise UsageError(self._refusal(text, unknown))
        return _unit(np.sum(found, axis=0))

    def _longest(self, tokens: Sequence[str], own: OwnWords) -> tuple[FloatMatrix | None, int]:
        """Return the vector of the longest name that a text begins with, and of how many tokens it is."""
        for count in range(min(_LONGEST, len(tokens)), 0, -1):
            keys = list(_keys(tokens[:count]))
            vector = own(keys)
            if vector is None:
                word = next((self._by_key[key] for key in keys if key in self._by_key), None)
                vector = None if word is None else self.vector(word)
            if vector is not None:
                return vector, count
        return None, 1

    def _refusal(self, text: str, unknown: Sequence[str]) -> str:
        said = ", ".join(repr(each) for each in unknown[:_NEAREST]) or repr(text.strip()[:40])
        close = dict.fromkeys(word for each in unknown[:_NEAREST] for word in self._near(each))
        near = f"the nearest words that it knows are {', '.join(close)}" if close else "no word that it knows is near"
        return f"{self._name} knows {len(self._members):,} single words, and not {said}: {near}; {WITH_SENTENCES}"

    def _near(self, token: str) -> list[str]:
        begun = sorted((word for word in self._members if token in word.split()), key=len)
        return (begun + difflib.get_close_matches(token, self._members, n=_NEAREST, cutoff=0.7))[:_NEAREST]


def keys_of(text: str) -> list[str]:
    """Return what a name may be found by: its letters without spaces and hyphens, also of its singular and plural."""
    return list(_keys(_tokens(text)))


def key_of(word: str) -> str:
    """Return the letters and digits of a name."""
    return "".join(_tokens(word))


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def _keys(tokens: Sequence[str]) -> Iterator[str]:
    before, last = "".join(tokens[:-1]), tokens[-1] if tokens else ""
    for form in (last, *_singulars(last), f"{last}s"):
        yield before + form


def _singulars(word: str) -> list[str]:
    """Return what a word is the regular plural of, if it is one."""
    endings = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""))
    return [word[: -len(end)] + one for end, one in endings if word.endswith(end) and len(word) > len(end) + 1]


def read_vocabulary(table: WordTable, *, name: str, dim: int) -> WordVectors:
    """Read a table, its digest checked first; raise NotFound, UntrustedModel."""
    data = read_described(table.path, sha256=table.sha256)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            things = arrays["rows"].astype(np.float32) * arrays["scales"][:, None]
            words = bytes(arrays["words"]).decode("utf-8").split("\n")
            members = np.split(arrays["members"], arrays["ends"][:-1])
            tagger = tagger_of(things, arrays)
        if things.shape[1] != dim or len(words) != len(members) or max(map(np.max, members)) >= len(things):
            raise ValueError("its arrays do not fit each other")
    except (BadZipFile, IndexError, KeyError, ValueError, OSError) as error:
        raise UntrustedModel(f"{table.path} is no table of words: {error}") from error
    return WordVectors(things, {w: m.tolist() for w, m in zip(words, members, strict=True)}, name=name, tagger=tagger)


def _unit(vector: FloatMatrix) -> FloatMatrix:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)
