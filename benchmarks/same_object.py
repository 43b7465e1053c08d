"""Another photograph of the same thing: how often a search says so, and how often it is wrong.

    python benchmarks/same_object.py PACK --others FOLDER… [--library LIBRARY]

Adds a pack such as ../shared/data/instances-dev and the others to a library, with local features, and asks for every
picture of the pack by its id. Counted are the hits that are said to show the same thing, and those that are called
copies: right where both have the pack's ``group``. Beside it, from the same answers, the likest pictures by the vectors
alone, as many for each query as were told.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sosie
from sosie.library import Library
from sosie.types import Hit, Verdict


@dataclass
class Told:
    """Counts over one kind of thing."""

    queries: int = 0
    answered: int = 0  # queries with a right answer
    right: int = 0
    wrong: int = 0
    copies_right: int = 0
    copies_wrong: int = 0
    likest_right: int = 0
    likest: int = 0
    wrong_pairs: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, object]:
        """Return the counts, and the shares that follow."""
        told = self.right + self.wrong
        return {
            "queries": self.queries,
            "queries_answered": self.answered,
            "same_object": told,
            "precision": round(self.right / told, 4) if told else None,
            "precision_of_the_likest": round(self.likest_right / self.likest, 4) if self.likest else None,
            "copies": self.copies_right + self.copies_wrong,
            "copies_of_other_things": self.copies_wrong,
            "wrong": dict(self.wrong_pairs.most_common(12)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path, help="a folder with images/ and manifest.csv (path, group)")
    parser.add_argument("--others", type=Path, nargs="*", default=[])
    parser.add_argument("--library", type=Path, help="kept, and used again")
    options = parser.parse_args()
    with (options.pack / "manifest.csv").open(encoding="utf-8", newline="") as file:
        groups = {Path(row["path"]).name: row["group"] for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as made, sosie.open(options.library or Path(made) / "library") as library:
        for folder in (options.pack, *options.others):
            library.add(folder / "images")
        library.copies.prepare()
        print(json.dumps(measured(library, groups), indent=1))


def measured(library: Library, groups: Mapping[str, str]) -> dict[str, object]:
    """Ask for every picture of the pack."""
    of = {record.id: groups.get(Path(record.uris[0]).name, "") for record in library.pictures()}
    kinds: dict[str, Told] = {}
    started = time.process_time()
    asked = [i for i, group in of.items() if group]
    for at, i in enumerate(asked):
        kind = of[i].split("/")[0]
        count(kinds.setdefault(kind, Told()), of, i, library.search(i, k=20).hits)
        print(f"\r{at + 1} of {len(asked)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    took = 1000 * (time.process_time() - started) / max(1, len(asked))
    return {"ms_a_query": round(took), **{kind: told.to_json() for kind, told in sorted(kinds.items())}}


def count(told: Told, of: Mapping[int, str], query: int, hits: tuple[Hit, ...]) -> None:
    """Count what one query was told."""
    told.queries += 1
    things = [hit for hit in hits if hit.verdict is Verdict.SAME_OBJECT]
    right = [hit for hit in things if of[hit.id] == of[query]]
    told.right, told.wrong = told.right + len(right), told.wrong + len(things) - len(right)
    told.answered += bool(right)
    told.wrong_pairs.update(f"{of[query]} | {of[hit.id]}" for hit in things if of[hit.id] != of[query])
    copies = [of[hit.id] == of[query] for hit in hits if hit.verdict.is_copy]
    told.copies_right, told.copies_wrong = told.copies_right + sum(copies), told.copies_wrong + copies.count(False)
    likest = sorted(hits, key=lambda hit: -hit.score)[: len(things)]
    told.likest, told.likest_right = (
        told.likest + len(likest),
        told.likest_right + sum(of[hit.id] == of[query] for hit in likest),
    )


if __name__ == "__main__":
    main()
