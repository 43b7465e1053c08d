"""What a library on Elasticsearch costs over the bare client: writing, searching, recall; and what Ray costs.

    python benchmarks/distributed.py --pictures 20000 [--folder FOLDER]

An Elasticsearch node is started on loopback (as the tests do) unless --url names one. All write the same packed vectors
of 256 dimensions in batches of the same size and refresh after each. "bare, lean" writes vectors, an id and a label;
"bare, same documents" what Sosie writes of each picture, made ready before the clock starts. Sosie makes the documents,
reads what is there, compares and sets. They write batch by batch in turn, so that what the machine does, and what the
node goes on merging, meets all alike. With --folder its pictures are added to a library in a folder, by two cores and
by two Ray workers of one core each (`benchmarks/ray_ingest.py`). Figures are JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.services import elastic  # noqa: E402

from sosie.catalogue import AddContent, ContentRow, Space  # noqa: E402
from sosie.catalogue.elastic import ElasticCatalogue  # noqa: E402
from sosie.catalogue.elastic.batch import Batch  # noqa: E402
from sosie.catalogue.elastic.mapping import pictures  # noqa: E402
from sosie.elastic import read_url  # noqa: E402
from sosie.elastic.vectors import dense_vector  # noqa: E402
from sosie.indexes.flat import top_k  # noqa: E402
from sosie.query.query import Query  # noqa: E402
from sosie.query.whole import answer_by_whole  # noqa: E402
from sosie.testing.indexes import clustered, recall  # noqa: E402
from sosie.types import EmbedderSpec, Head, ImageRef, Preprocessing  # noqa: E402

DIM, K, LABELS = 256, 10, 10


def spec() -> EmbedderSpec:
    return EmbedderSpec("bench", "1", (Head("semantic", DIM),), Preprocessing(64), "none")


Write = Callable[[int], None]  # a batch, by the number of its first picture


@contextlib.contextmanager
def bare(client: Any, body: dict[str, Any], documents: list[dict[str, Any]], batch: int) -> Iterator[Write]:
    """Write with `helpers.bulk` to an index of its own, refreshed as often as Sosie commits."""
    from elasticsearch import helpers

    index = f"bare-{uuid.uuid4().hex[:8]}"
    client.indices.create(index=index, settings={"number_of_replicas": 0}, mappings=body)

    def write(start: int) -> None:
        some = ({"_index": index, "_id": str(one["id"]), **one} for one in documents[start : start + batch])
        helpers.bulk(client, some, chunk_size=batch, refresh=True)

    yield write
    client.indices.delete(index=index)


def in_turn(writers: dict[str, Write], count: int, batch: int) -> dict[str, float]:
    """Return documents a second of each; all write batch by batch, and each is the first in its turn."""
    taken = dict.fromkeys(writers, 0.0)
    order = list(writers)
    for start in range(0, count, batch):
        for name in order:
            started = time.perf_counter()
            writers[name](start)
            taken[name] += time.perf_counter() - started
        order.append(order.pop(0))
    return {name: count / seconds for name, seconds in taken.items()}


def lean(vectors: np.ndarray, space: Space) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the mapping and documents of vectors with an id and a label."""
    from elasticsearch import helpers

    fields = {"id": {"type": "long"}, "label": {"type": "keyword"}, "v": dense_vector(space.dim, "int8_hnsw", 3.0)}
    documents = [
        {"id": n, "label": f"class {n % LABELS}", "v": helpers.pack_dense_vector(vector)}
        for n, vector in enumerate(vectors)
    ]
    return {"dynamic": "strict", "properties": fields}, documents


def full(vectors: np.ndarray, space: Space) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the mapping and documents that Sosie writes."""
    batch = Batch([])
    for change in changes(vectors, space, seed=9):
        batch.put_place(batch.put_content(change, now=time.time()), change.ref, "file:///")
    fields = pictures([space], kind="int8_hnsw", oversample=3.0)
    return {"dynamic": "strict", "properties": fields}, [dict(source) for source in batch.operations("x")[1]]


def changes(vectors: np.ndarray, space: Space, *, seed: int) -> list[AddContent]:
    """Return pictures that are nothing but a vector, two labels and a place."""
    rng = np.random.default_rng(seed)
    made = []
    for n, vector in enumerate(vectors):
        digest = rng.bytes(32)
        ref = ImageRef(f"file:///{seed}/{n}.jpg", {"label": f"class {n % LABELS}", "n": float(n)})
        made.append(AddContent(ContentRow(digest, 9, "JPEG", 64, 64, digest[:16]), ref, {space.id: vector}))
    return made


def alternately(calls: dict[str, Callable[[np.ndarray], Any]], queries: np.ndarray) -> dict[str, float]:
    """Return the median time of one query in ms, asked in turn, so that what the machine does meets all alike."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for query in queries:
        for name, call in calls.items():
            started = time.perf_counter()
            call(query)
            taken[name].append(time.perf_counter() - started)
    return {name: round(float(np.median(times)) * 1000, 3) for name, times in taken.items()}


def measure(store: ElasticCatalogue, vectors: np.ndarray, queries: np.ndarray, batch: int) -> dict[str, Any]:
    client = store.connection.client.options(request_timeout=120)
    space = store.ensure_spaces(spec())[0]
    vectors = vectors.astype(np.float16).astype(np.float32)
    warm = len(vectors) // 4 // batch * batch
    some = changes(vectors, space, seed=1)
    with bare(client, *lean(vectors, space), batch) as once:
        in_turn({"bare": once}, warm, batch)

    def sosie(start: int) -> None:
        store.apply(some[start : start + batch], root="file:///")

    with bare(client, *lean(vectors, space), batch) as lean_, bare(client, *full(vectors, space), batch) as full_:
        gc.collect()
        gc.freeze()  # else who makes documents pays for looking through those that lie ready for the bare client
        rates = in_turn({"bare, lean": lean_, "bare, same documents": full_, "sosie": sosie}, len(vectors), batch)
    view = store.view(space)
    condition = store.condition("label = 'class 3'")

    def ask_bare(query: np.ndarray, index: str = store.names.pictures, field: str = f"vector_{space.id}") -> Any:
        """The same question to the same index, by hand: what Sosie adds is its own work."""
        knn = {"field": field, "query_vector": query.tolist(), "k": K + 1, "num_candidates": 10 * (K + 1)}
        return client.search(index=index, knn=knn, size=K + 1, source_includes=["id", "places", "labels"])

    def ask(query: np.ndarray, where: Any = None) -> Any:
        return answer_by_whole([Query("q", query)], view=view, catalogue=store, k=K, condition=where)

    for query in queries[:50]:
        ask_bare(query), ask(query)
    times = alternately({"bare": ask_bare, "sosie": ask, "sosie, filtered": lambda q: ask(q, condition)}, queries)
    ids, stored = store.vectors(space)
    truth_ids = ids[top_k(stored, queries, K)[0]]
    found = np.array([[hit.id for hit in ask(query)[0]] for query in queries])
    return {
        "pictures": len(vectors),
        "batch": batch,
        "written per second": {name: round(rate) for name, rate in rates.items()},
        "share of bare, same documents": round(rates["sosie"] / rates["bare, same documents"], 3),
        "share of bare, lean": round(rates["sosie"] / rates["bare, lean"], 3),
        "search, median ms": times,
        "search, ms over bare": round(times["sosie"] - times["bare"], 3),
        f"recall@{K} against exact": round(recall(found, truth_ids), 4),
        "index bytes a picture": round(store.versions()[0].bytes / len(vectors)),
    }


@contextlib.contextmanager
def address(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder, elastic.running(Path(folder)) as cluster:
        yield cluster.address(f"bench-{uuid.uuid4().hex[:8]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--url", help="elasticsearch://host:9200/name of a library that may be written and deleted")
    parser.add_argument("--folder", type=Path, help="pictures to add with and without Ray, too")
    options = parser.parse_args()
    points = clustered(options.pictures + options.queries, DIM)
    with address(options.url) as url:
        cluster = read_url(url)
        assert cluster is not None
        store = ElasticCatalogue(cluster)
        try:
            found = measure(store, points[: options.pictures], points[options.pictures :], options.batch)
        finally:
            store.destroy()
            store.close()
    if options.folder:
        from benchmarks.ray_ingest import speed

        found["ingest"] = speed(options.folder, options.pictures)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
