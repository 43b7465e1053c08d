"""``sosie classify``: which class is this picture of?"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import sosie
from sosie.cli.options import ClassifierOption, JsonOption, LibraryOption
from sosie.cli.output import emit_json
from sosie.cli.search import asked_of
from sosie.errors import UsageError
from sosie.present.csv import plain_text
from sosie.present.text import display_path, visible
from sosie.types import Classification

__all__ = ["classify"]


def classify(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE…", help="Pictures, or id:17 of the library.")],
    library: LibraryOption = None,
    classifier: ClassifierOption = None,
    most: Annotated[int, typer.Option("-k", "--k", help="How many classes of each picture.", min=1)] = 5,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> int:
    """Say which classes pictures are of, with probabilities, by the classifier that `sosie train classifier` made."""
    if as_json and as_csv:
        raise UsageError("choose one of --json and --csv")
    with sosie.open(library, create=False) as lib:
        found = lib.classifiers.classify([asked_of(image) for image in images], classifier)
    if as_json:
        documents = [each.to_json(most) for each in found]
        emit_json(documents[0] if len(documents) == 1 else documents)
    elif as_csv:
        _write_csv(found, most)
    else:
        _print(found, most)
    return 0


def _write_csv(found: Sequence[Classification], most: int) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["query", "rank", "class", "probability", "model"])
    for each in found:
        for rank, (name, probability) in enumerate(each.classes[:most], 1):
            writer.writerow([plain_text(each.query), rank, plain_text(name), round(probability, 6), each.model])


def _print(found: Sequence[Classification], most: int) -> None:
    for at, each in enumerate(found):
        print(f"{chr(10) if at else ''}{display_path(each.query)}  ({each.label}, by {each.model})")
        for name, probability in each.classes[:most]:
            print(f"{probability:>8.1%}  {visible(name)}")
