"""The table of commands: one thin file each, imported when it is asked for."""

from __future__ import annotations

import keyword
from importlib import import_module
from typing import Any

__all__ = ["COMMANDS", "load"]

# name → (module under sosie.cli whose function, or typer app, has the name; what `sosie --help` says of it)
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Draw a gallery, index it, search it, write a report: a first look in a minute."),
    "add": ("add", "Add pictures: folders, archives, URL lists, dataset databases."),
    "search": ("search", "Find the pictures most like a picture."),
    "classify": ("classify", "Say which classes a picture is of, by the library's own classifier."),
    "copies": ("copies", "Say which pictures of the library a picture is an altered copy of."),
    "compare": ("compare", "Say what one picture is to another: the same, a copy, neither."),
    "duplicates": ("duplicates", "Group the copies inside the library around the best of each."),
    "calibrate": ("calibrate", "Fit the probabilities of copies to this library."),
    "decisions": ("decisions", "Say of two pictures: not a copy, the same picture, keep both."),
    "evaluate": ("evaluate", "Measure on your own pictures: labels, copies, indexes, comparisons."),
    "train": ("train", "Train a network on your own pictures: classes, likeness, codes."),
    "tune": ("tune", "Find the settings of a training recipe, or of an index, that suit your pictures."),
    "index": ("index", "Build, tune, list and drop the indexes that make search fast."),
    "models": ("models", "List models, try one on your own pictures, and swap."),
    "upgrade": ("upgrade", "Embed the pictures anew with the newest bundled network; can be undone."),
    "run": ("run", "Run the whole pipeline from an application.yaml."),
    "crawl": ("crawl", "Add the pictures of a website, politely."),
    "labels": ("labels", "Explore the library by its labels, and edit them."),
    "tags": ("tags", "Count what the network recognised in the pictures, or turn that off."),
    "doctor": ("doctor", "Compare files, catalogue, indexes and thumbnails; find what is wrong, and mend it."),
    "backup": ("backup", "Copy the library to a folder, safely, while it is in use."),
    "restore": ("backup", "Bring a library back from what `sosie backup` wrote."),
    "quarantine": ("quarantine", "List, retry and export what could not become a picture."),
    "watch": ("watch", "Report when copies of your own pictures turn up."),
    "export": ("transfer", "Write vectors, labels, hashes and decisions as Parquet files."),
    "export-vectors": ("vectors", "Write the vectors of pictures, or of parts of them, as NumPy or Parquet."),
    "import": ("transfer", "Add what `sosie export` wrote, on any store, and check that it arrived."),
    "sources": ("sources", "List the roots of a library, retire one, say where one is now."),
    "remove": ("remove", "Forget pictures; files are never touched."),
    "log": ("log", "Show who did what to the library: labels, removals, decisions, exports, plans."),
    "serve": ("serve", "Open the web page and the REST API, http://localhost:6868."),
    "keys": ("keys", "Make, list and revoke keys of the server."),
    "info": ("info", "Say what the library holds and how it answers."),
}


def load(name: str) -> Any:
    """Return the function, or the typer app of sub-commands, behind a command."""
    module = import_module(f"sosie.cli.{COMMANDS[name][0]}")
    wanted = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
    return getattr(module, "app", None) or getattr(module, wanted)
