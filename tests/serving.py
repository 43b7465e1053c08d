"""A real server on a free port of loopback, for tests that talk to one."""

from __future__ import annotations

import csv
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sosie
from sosie.library import Library
from sosie.server.app import create_app
from sosie.server.config import ServerSettings
from sosie.server.run import listen, make_server


@contextmanager
def running(library: Library, **settings: Any) -> Iterator[str]:
    """Serve a library from a thread; give the address, such as http://127.0.0.1:40123."""
    chosen = ServerSettings(port=0, **settings)
    server = make_server(create_app(library, settings=chosen), chosen)
    with listen(chosen) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive(), "the server did not stop"


def small_library(folder: Path, shared: Path, *, classes: int = 6, each: int = 8) -> Library:
    """Make a library of real pictures with their labels: some classes of Caltech-101, some pictures of each."""
    pack = shared / "data" / "caltech101-dev"
    rows: dict[str, list[Path]] = {}
    with (pack / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["label"], []).append(pack / row["path"])
    pictures = folder / "pictures"
    for label in sorted(rows)[:classes]:
        (pictures / label).mkdir(parents=True)
        for path in sorted(rows[label])[:each]:
            shutil.copyfile(path, pictures / label / path.name)
    library = sosie.open(folder / "library")
    library.add(pictures, label_from_folders=True, workers=1)
    return library
