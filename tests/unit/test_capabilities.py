"""What a source or an embedder can do beyond its contract is asked of protocols, through whatever wraps it."""

from __future__ import annotations

from pathlib import Path

from sosie.contracts import KeepsOriginals, KnowsGone, Partial, ReportsProblems, RereadsUris, Streams, offered
from sosie.embedders.histogram import HistogramEmbedder
from sosie.ray import Fleet, RaySource
from sosie.sources.folder import FolderSource
from sosie.sources.keeping import KeepingOriginals
from sosie.sources.options import SourceOptions
from sosie.sources.web.crawl import open_web


def test_a_wrapping_source_offers_what_the_wrapped_one_does(tmp_path: Path) -> None:
    folder = FolderSource(str(tmp_path))
    keeping = KeepingOriginals(folder, tmp_path / "originals")
    assert offered(keeping, KnowsGone) is offered(keeping, ReportsProblems) is offered(keeping, RereadsUris) is folder
    assert offered(keeping, KeepsOriginals) is offered(keeping, Streams) is keeping


def test_what_neither_offers_is_none(tmp_path: Path) -> None:
    keeping = KeepingOriginals(FolderSource(str(tmp_path)), tmp_path / "originals")
    assert offered(keeping, Partial) is None
    assert offered(FolderSource(str(tmp_path)), Streams) is None


def test_a_crawl_stays_partial_when_its_originals_are_kept(tmp_path: Path) -> None:
    crawl = open_web("https://example.org/", SourceOptions())
    part = offered(KeepingOriginals(crawl, tmp_path), Partial)
    assert part is not None and part.partial


def test_two_wrappers_are_looked_through(tmp_path: Path) -> None:
    import numpy as np

    folder = FolderSource(str(tmp_path))
    keeping = KeepingOriginals(folder, tmp_path / "originals")
    sent = RaySource(keeping, Fleet("none"), embedder=HistogramEmbedder(), known=np.empty(0, np.uint64))
    assert offered(sent, KnowsGone) is folder
    assert offered(sent, KeepsOriginals) is keeping
    assert offered(sent, Streams) is sent
