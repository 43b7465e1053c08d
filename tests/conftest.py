"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import elastic

ROOT = Path(__file__).resolve().parents[1]
_WITH_ENGINES = {ROOT / "tests" / folder for folder in ("browser", "cluster", "fleet")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that race other programs (a browser, a cluster) a second try, listed by `-rR`; no others."""
    for item in items:
        if not _WITH_ENGINES.isdisjoint(item.path.parents):
            item.add_marker(pytest.mark.flaky(reruns=1))


def shared_or_none() -> Path | None:
    """Return the folder of real pictures and small networks, beside the checkout or at $SOSIE_SHARED."""
    folder = Path(os.environ.get("SOSIE_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "data").is_dir() else None


@pytest.fixture(scope="session")
def sosie_shared() -> Path:
    """The shared folder; its absence fails in CI and leaves the test out elsewhere."""
    folder = shared_or_none()
    if folder is None:
        message = "the real pictures are not here: set SOSIE_SHARED to the folder that holds data/ and weights/"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def elasticsearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[elastic.Cluster]:
    """One Elasticsearch node for all tests of this run; without a JDK, tests fail in CI and are left out elsewhere.

    $SOSIE_TEST_ELASTICSEARCH (127.0.0.1:PORT) names one that runs already, which saves its start at every run.
    """
    pytest.importorskip("elasticsearch", reason="needs the extra elasticsearch")
    if running := os.environ.get("SOSIE_TEST_ELASTICSEARCH"):
        yield elastic.Cluster(tmp_path_factory.getbasetemp(), 1, 0, http=[int(running.rpartition(":")[2])])
        return
    beside = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if beside else tmp_path_factory.getbasetemp()
    try:
        with elastic.shared(folder, os.getppid() if beside else os.getpid()) as cluster:
            yield cluster
    except elastic.Missing as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
