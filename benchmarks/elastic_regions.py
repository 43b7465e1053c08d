"""What parts of pictures cost on Elasticsearch: bytes of the index, and processor time of a search by them.

    python benchmarks/elastic_regions.py [--pictures 500] [--regions 14] [--url elasticsearch://host:9200/name]

A node is started on loopback (as the tests do) unless --url names one. Vectors are made, of 256 dimensions. A query has
three parts, as three objects would be; its candidates' regions are read and scored exactly. Server time is that of the
node's whole process, its merging included. Figures are JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.services import elastic  # noqa: E402

from sosie.catalogue import AddContent, AddRegions, ContentRow, Space  # noqa: E402
from sosie.catalogue.elastic import ElasticCatalogue  # noqa: E402
from sosie.elastic import read_url  # noqa: E402
from sosie.query.query import Query  # noqa: E402
from sosie.query.regions import KindView, answer_by_regions  # noqa: E402
from sosie.regions.fusion import Weights  # noqa: E402
from sosie.types import EmbedderSpec, Head, ImageRef, Preprocessing, Region  # noqa: E402

DIM, K, PARTS, QUERIES, BATCH = 256, 10, 3, 50, 100
SPEC = EmbedderSpec("bench", "1", (Head("semantic", DIM),), Preprocessing(64), "none")


@contextlib.contextmanager
def library(url: str | None) -> Iterator[ElasticCatalogue]:
    """Open a library that is deleted afterwards."""
    with contextlib.ExitStack() as stack:
        name = f"bench-{uuid.uuid4().hex[:8]}"
        if url is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = stack.enter_context(elastic.running(folder)).address(name)
        cluster = read_url(url)
        assert cluster is not None
        store = stack.enter_context(contextlib.closing(ElasticCatalogue(cluster)))
        try:
            yield store
        finally:
            store.destroy()


def directions(seed: int, *shape: int) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def write(store: ElasticCatalogue, whole: Space, vectors: np.ndarray, kind: Space, parts: np.ndarray) -> None:
    """Write pictures with their regions, where ``parts`` (n, regions, dim) has any."""
    boxes = [Region((0.0, 0.0, 1.0, 1.0))] * parts.shape[1]
    changes = []
    for n, (vector, own) in enumerate(zip(vectors, parts, strict=True)):
        sha256 = n.to_bytes(4) + bytes(28)
        regions = {kind.id: AddRegions(kind.regions, boxes, own)} if boxes else {}
        row = ContentRow(sha256, 1, "JPEG", 30, 20, sha256[:16])
        changes.append(AddContent(row, ImageRef(f"file:///p/{n}.jpg"), {whole.id: vector}, regions))
    for start in range(0, len(changes), BATCH):
        store.apply(changes[start : start + BATCH], root="file:///p/")


def size(store: ElasticCatalogue) -> int:
    """Return the bytes of the pictures' index, once it is one segment."""
    client, index = store.connection.client.options(request_timeout=600), store.names.pictures
    client.indices.forcemerge(index=index, max_num_segments=1)
    client.indices.refresh(index=index)
    return int(client.indices.stats(index=index, metric="store")["_all"]["primaries"]["store"]["size_in_bytes"])


def server_ms(store: ElasticCatalogue) -> float:
    time.sleep(1.5)  # the node looks at its own process once a second
    nodes = store.connection.client.nodes.stats(metric="process")["nodes"]
    return float(sum(node["process"]["cpu"]["total_in_millis"] for node in nodes.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--regions", type=int, default=14)
    parser.add_argument("--url")
    given = parser.parse_args()
    vectors, parts = directions(0, given.pictures, DIM), directions(1, given.pictures, given.regions, DIM)
    with library(given.url) as store:
        whole = store.ensure_spaces(SPEC)[0]
        kind = store.ensure_spaces(SPEC, regions="objects")[0]
        write(store, whole, vectors, kind, parts[:, :0])
        bare = size(store)
        write(store, whole, vectors, kind, parts)
        full = size(store)
        views = [KindView("objects", store.view(kind), Weights())]
        queries = [Query(str(n), vectors[n], vectors={kind.id: parts[n, :PARTS]}) for n in range(QUERIES)]
        answer_by_regions(queries[:2], whole=store.view(whole), kinds=views, catalogue=store, k=K)
        before, client, started = server_ms(store), time.process_time(), time.perf_counter()
        for query in queries:
            answer_by_regions([query], whole=store.view(whole), kinds=views, catalogue=store, k=K)
        took, client = time.perf_counter() - started, time.process_time() - client
        figures = {
            "pictures": given.pictures,
            "regions_each": given.regions,
            "bytes_a_picture": round(bare / given.pictures),
            "bytes_a_region": round((full - bare) / parts[..., 0].size),
            "search_ms": round(1000 * took / QUERIES, 1),
            "search_client_cpu_ms": round(1000 * client / QUERIES, 1),
            "search_server_cpu_ms": round((server_ms(store) - before) / QUERIES, 1),
        }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
