"""WordNet 3.0's nouns: the words of ImageNet's classes and of what those are kinds of.

Miller, G. A. (1995), WordNet: a lexical database for English. The files are those of Debian's package ``wordnet-base``.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

__all__ = ["Synset", "class_synsets", "members", "read_nouns", "read_plurals", "read_senses", "tags_of", "words_of"]

_DIGESTS = {
    "data.noun": "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2",
    "index.noun": "a490d99d93d017bf4822fe2f0ffa51fd73911ce271dc7535fade21f8814b5a04",
    "cntlist.rev": "a198580b8f705fa02797bba8b13e5cbe4a9f9f40cb1697e774c7fc6a5865b035",
}
# `artifact` and above, of which half of all classes are, tell nothing
_TOO_MANY = 450
# of the kinds that people name often, those that no picture shows as such
_ABSTRACT = frozenset(
    """agent apparatus area article associate case coffee communication covering device door drug equipment fabric feed
    fluid game instrument light location machine material matter medium organism paper part person piece plant platform
    player point pool product publication rack reflector relation ridge roof seed shape shelter sign signal solid stick
    structure substance surface system transducer vessel weight wheel work""".split()  # noqa: SIM905
)
_NAMED = 6  # times in the texts whose senses were marked (SemCor) that a kind is named before it is a tag
_SELDOM = 5  # a word's senses from here on are not what people mean by it


@dataclass(frozen=True, slots=True)
class Synset:
    """A sense: the words for it, the usual one first, and the senses that it is a kind of."""

    words: tuple[str, ...]
    kinds: tuple[str, ...]  # offsets


def _lines(folder: Path, name: str) -> list[str]:
    data = (folder / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != _DIGESTS[name]:
        raise ValueError(f"{folder / name} is not that of WordNet 3.0: apt-get download wordnet-base")
    return [line for line in data.decode("ascii").splitlines() if not line.startswith(" ")]


def read_nouns(folder: Path) -> dict[str, Synset]:
    """Return the noun senses by their offset (wndb(5WN))."""
    found = {}
    for line in _lines(folder, "data.noun"):
        fields = line.split(" | ")[0].split()
        count = int(fields[3], 16)
        words = tuple(fields[4 + 2 * at].replace("_", " ") for at in range(count))
        rest = fields[5 + 2 * count :]
        pointers = [rest[at : at + 4] for at in range(0, 4 * int(fields[4 + 2 * count]), 4)]
        found[fields[0]] = Synset(words, tuple(p[1] for p in pointers if p[0] in ("@", "@i") and p[2] == "n"))
    return found


def read_senses(folder: Path) -> dict[str, list[str]]:
    """Return the offsets of each noun's senses, the most frequent first."""
    found = {}
    for line in _lines(folder, "index.noun"):
        fields = line.split()
        found[plain(fields[0].replace("_", " "))] = fields[-int(fields[2]) :]
    return found


def read_plurals(folder: Path) -> dict[str, str]:
    """Return the irregular plurals and their singulars."""
    pairs = [line.split() for line in (folder / "noun.exc").read_text(encoding="ascii").splitlines()]
    return {plain(pair[0].replace("_", " ")): plain(pair[1].replace("_", " ")) for pair in pairs}


def class_synsets() -> list[str]:
    """Return the offsets of ImageNet-1k's classes in their usual order, by the list that timm carries."""
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("timm is not installed: uv sync --extra train")
    path = Path(spec.origin).parent / "data" / "_info" / "imagenet_synsets.txt"
    return [name.removeprefix("n") for name in path.read_text(encoding="ascii").split()]


def members(nouns: Mapping[str, Synset], classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return, of each class and each sense that classes are kinds of, which classes those are."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for at, offset in enumerate(classes):
        waiting = [offset]
        while waiting:
            sense = waiting.pop()
            if at not in found[sense]:
                found[sense].add(at)
                waiting += nouns[sense].kinds
    return {sense: tuple(sorted(each)) for sense, each in found.items() if len(each) <= _TOO_MANY}


def words_of(folder: Path, classes: Sequence[str]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return the things that each word means, each as the classes that are of its kind.

    A word for classes means all of those (`crane` two). Any other word means the most frequent of its senses that
    classes are kinds of. What a word means seldom (a `head` is a toilet) counts only where it is the usual word for it.
    Irregular plurals are words, too.
    """
    nouns, senses = read_nouns(folder), read_senses(folder)
    held, own = members(nouns, classes), set(classes)
    by_word: defaultdict[str, list[str]] = defaultdict(list)
    for sense in held:
        for at, word in enumerate(map(plain, nouns[sense].words)):
            if at == 0 or senses[word].index(sense) < _SELDOM:
                by_word[word].append(sense)
    found = {}
    for word, meant in by_word.items():
        of_classes = [sense for sense in meant if sense in own]
        chosen = of_classes or sorted(meant, key=senses[word].index)[:1]
        found[word] = tuple(dict.fromkeys(held[sense] for sense in chosen))
    irregular = {many: one for many, one in read_plurals(folder).items() if one in found and many not in found}
    return found | {many: found[one] for many, one in irregular.items()}


def tags_of(folder: Path, classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the tags and the classes of each: every class by its usual word, and the kinds that people name often."""
    nouns, senses = read_nouns(folder), read_senses(folder)
    named = read_counts(folder)
    found: dict[str, tuple[int, ...]] = {}
    for sense, held in members(nouns, classes).items():
        word = plain(nouns[sense].words[0])
        first = senses[word][0] == sense and named.get(word, 0) >= _NAMED and word not in _ABSTRACT
        if first or sense in classes:
            found[word] = tuple(sorted({*found.get(word, ()), *held}))
    return found


def read_counts(folder: Path) -> dict[str, int]:
    """Return how often each noun was meant in its first sense in marked texts."""
    found = {}
    for line in _lines(folder, "cntlist.rev"):
        key, number, count = line.split()
        word, _, rest = key.partition("%")
        if rest.startswith("1:") and number == "1":
            found[plain(word)] = int(count)
    return found


def plain(word: str) -> str:
    """Return a word in small letters, its parts with spaces between."""
    return re.sub(r"[-_\s]+", " ", word.lower()).strip()
