"""Pictures embedded by a cluster: the same library as without one, whatever dies on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sosie
from sosie.library import Library
from sosie.ray import Fleet, connect
from tests.pictures import folder_of, jpeg
from tests.services.held import HeldServer
from tests.services.ray import Machines, wait_until

pytestmark = pytest.mark.timeout(900)  # processes by the dozen, on a machine that may be busy


@pytest.fixture(scope="module")
def fleet(machines: Machines) -> Iterator[Fleet]:
    with connect(machines.address) as connected:
        yield connected


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as opened:
        yield opened


def contents(lib: Library) -> dict[str, Any]:
    """Return all that a library holds, but for when and how it came."""
    rows = {uri: lib.catalogue.content(p.id) for p in lib.pictures() for uri in p.uris}
    return {
        "counts": lib.catalogue.counts(),
        "labels": lib.labels(),
        "quarantine": [(row.uri, row.reason) for row in lib.quarantine()],
        "pictures": rows,
        "ids": {uri: p.id for p in lib.pictures() for uri in p.uris},
    }


def mixed_folder(path: Path) -> Path:
    """Make a folder of pictures, with one that is there twice, one that is cut short and one that is none."""
    folder_of(path, 60)
    (path / "twin.jpg").write_bytes(jpeg(0))
    (path / "cut.jpg").write_bytes(jpeg(500)[:400])
    (path / "text.jpg").write_text("not a picture")
    return path


def test_a_cluster_makes_the_library_that_one_machine_makes(fleet: Fleet, lib: Library, tmp_path: Path) -> None:
    folder = mixed_folder(tmp_path / "pictures")
    with sosie.open(tmp_path / "plain", model="histogram") as plain:
        expected = plain.add(folder, label_from_folders=True)
        report = lib.add(folder, label_from_folders=True, fleet=fleet)
        assert {**report.to_json(), "seconds": 0} == {**expected.to_json(), "seconds": 0}
        assert contents(lib) == contents(plain)
        np.testing.assert_allclose(lib.vectors()[1], plain.vectors()[1], atol=1e-3)
    assert lib.search(jpeg(3), k=1)[0].verdict == "identical"


def test_what_is_known_is_not_done_again(fleet: Fleet, lib: Library, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pictures", 12)
    lib.add(folder)
    (folder / "even" / "00000.jpg").rename(folder / "moved.jpg")
    (folder / "odd" / "00001.jpg").touch()
    (folder / "odd" / "00003.jpg").unlink()
    report = lib.add(folder, sync=True, fleet=fleet)
    assert (report.moved, report.known, report.unchanged, report.dropped) == (1, 1, 9, 1)
    assert report.indexed == 0
    assert lib.stats()["pictures"] == 11


def test_a_stop_keeps_what_was_done_and_the_next_run_goes_on(
    fleet: Fleet, lib: Library, web: HeldServer, tmp_path: Path
) -> None:
    stop = threading.Event()

    def stop_it() -> None:
        wait_until(lambda: web.holds(4))
        stop.set()

    with ThreadPoolExecutor(1) as other:
        other.submit(stop_it)
        report = lib.add(web.source(tmp_path), fleet=fleet, stop=stop)
    assert report.interrupted
    assert report.indexed == lib.stats()["pictures"] < web.count
    web.let_go()
    rest = lib.add(web.source(tmp_path))
    assert lib.stats()["pictures"] == rest.indexed + report.indexed == web.count


# ------------------------------------------------------------------------------------------------ what dies


def add_while(lib: Library, source: Any, fleet: Fleet, web: HeldServer, kill: Callable[[], object]) -> Any:
    """Add a list, and kill something while workers are in the middle of their blocks."""

    def strike() -> None:
        try:
            wait_until(lambda: web.holds(4))
            kill()
        finally:
            web.let_go()

    with ThreadPoolExecutor(1) as other:
        struck = other.submit(strike)
        report = lib.add(source, fleet=fleet)
        struck.result()
    return report


def test_a_killed_worker_loses_and_doubles_nothing(
    fleet: Fleet, machines: Machines, lib: Library, web: HeldServer, tmp_path: Path
) -> None:
    report = add_while(lib, web.source(tmp_path), fleet, web, machines.kill_worker)
    assert (report.seen, report.indexed) == (200, 200)
    assert lib.stats()["pictures"] == len(lib.vectors()[0]) == 200


def test_a_killed_machine_loses_and_doubles_nothing(
    fleet: Fleet, machines: Machines, lib: Library, web: HeldServer, tmp_path: Path
) -> None:
    report = add_while(lib, web.source(tmp_path), fleet, web, machines.kill_second)
    assert (report.seen, report.indexed) == (200, 200)
    assert lib.stats()["pictures"] == len(lib.vectors()[0]) == 200
