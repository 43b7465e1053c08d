"""What a picture costs, measured here, and what ten million, a hundred million and a billion would cost: on paper.

    python benchmarks/scaling.py measure FOLDER       # this machine's figures into benchmarks/scaling.json
    python benchmarks/scaling.py elasticsearch        # and those of a shard, on a server that it starts
    python benchmarks/scaling.py project              # the tables of docs/scaling.md, from those figures

Times are the processor's seconds of one core, so that a busy machine does not change them. ``project`` computes and
simulates, and measures nothing.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
FIGURES = Path(__file__).with_suffix(".json")

SIZES = (10**7, 10**8, 10**9)
CORES, MEMORY = 16, 64 * 2**30  # of the machine that the tables count in
FOR_VECTORS = 0.5  # of its memory: the rest is the engine's, the system's, and room to grow
SHARD = 10**7  # vectors of one shard: the engine's own advice is some tens of gigabytes each
COPIES = 2  # of every shard, so that a machine may die
# bytes a vector and queries a second of one core at recall@10 ≥ 0.95, a million vectors: docs/performance.md
LOCAL = {"symqg": (2436, 11_274), "hnsw": (1296, 1_985), "ivf": (52, 785)}


# ------------------------------------------------------------------------------------------------ measuring


def cpu() -> float:
    """Return the processor's seconds of this process and of the children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def cost(work: Callable[[], Any], times: int) -> float:
    """Return the milliseconds of one core that one of ``times`` things takes."""
    started = cpu()
    work()
    return round(1000 * (cpu() - started) / times, 4)


def measure(folder: Path) -> dict[str, Any]:
    """Measure every stage that a picture goes through, on the pictures of a folder."""
    from benchmarks.ingest import SUFFIXES

    import sosie
    from sosie.analysis.embedding import Embedded
    from sosie.analysis.worker import analyse, analysis_params
    from sosie.decode import decode
    from sosie.embedders.bundled import BundledEmbedder
    from sosie.ray.frames import pack
    from sosie.types import Picture

    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)[:1500]
    datas = [path.read_bytes() for path in files]
    n = len(datas)
    embedder = BundledEmbedder(threads=1)
    params = analysis_params(embedder.spec.preprocessing)

    def decoded(some: list[bytes]) -> Iterator[dict[str, Any]]:
        for data in some:
            yield analyse(decode(data, side=params["side"], identify="quick"), params)

    inputs = [Picture(each["input"], 1, 1) for each in decoded(datas[:512])]
    embedder.embed(inputs[:32])
    photos = [photo(data) for data in datas[:20]]
    found: dict[str, Any] = {
        "pictures": n,
        "file_bytes": round(sum(map(len, datas)) / n),
        "photo_bytes": round(sum(map(len, photos)) / len(photos)),
        "read_ms": cost(lambda: [path.read_bytes() for path in files], n),
        "decode_ms": cost(lambda: list(decoded(datas)), n),
        "photo_decode_ms": cost(lambda: list(decoded(photos)), len(photos)),
        "embed_ms": cost(lambda: [embedder.embed(inputs[at : at + 32]) for at in range(0, 512, 32)], 512),
    }
    with tempfile.TemporaryDirectory() as place, sosie.open(Path(place) / "lib") as lib:
        found["commit_ms"] = commit_cost(lib, 20_000)
        found["catalogue_bytes"] = size_of(lib) // 20_000
    with tempfile.TemporaryDirectory() as place, sosie.open(Path(place) / "lib") as lib:
        lib.add(folder, label_from_folders=True)
        pictures = lib.pictures()
        first = lib.catalogue.content(pictures[0].id)
        found["answer_bytes"] = len(pack(Embedded(first, np.zeros(embedder.spec.dim, np.float32))))
        some = pictures[:200]
        made: list[bytes] = []
        found["thumbnail_ms"] = cost(
            lambda: made.extend(lib.thumbnail(p.id) for p in some) or lib.engine.queries.close(), 200
        )
        found["thumbnail_bytes"] = round(sum(map(len, made)) / len(made))
        before = size_of(lib)
        found["copies_ms"] = cost(lib.copies.prepare, len(pictures))
        found["copies_bytes"] = round((size_of(lib) - before) / len(pictures))
    return {**found, "walk": walk(50_000)}


def walk(n: int) -> dict[str, Any]:
    """Measure how differently long single questions take on one graph of ``n`` vectors."""
    from benchmarks.vectors import embedding_like

    from sosie.registry import resolve

    vectors = embedding_like(n + 2000)
    index = resolve("indexes", "hnsw")()
    index.build(np.arange(n), vectors[:n])
    times = []
    for query in vectors[n:]:
        started = time.thread_time()
        index.search(query[None], 10)
        times.append(1000 * (time.thread_time() - started))
    return {"vectors": n, "ms": [round(float(each), 4) for each in np.percentile(times[200:], np.arange(0.5, 100))]}


def photo(data: bytes) -> bytes:
    """Return a picture as a phone would store it: 12 megapixels, with the grain of a sensor."""
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(0).normal(0, 4, image.shape[:2])[..., None]
    out = io.BytesIO()
    Image.fromarray(np.clip(image + grain, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def commit_cost(lib: Any, n: int) -> float:
    """Write the rows of pictures that were never drawn, as many at a time as ingest does."""
    from sosie.catalogue import AddContent, ContentRow
    from sosie.types import ImageRef

    rng = np.random.default_rng(0)
    changes = []
    for number in range(n):
        vectors = {space.id: rng.standard_normal(space.dim).astype(np.float32) for space in lib.spaces}
        row = ContentRow(rng.bytes(32), 20_000, "JPEG", 400, 300, rng.bytes(16), rng.bytes(32), 100)
        ref = ImageRef(f"file:///mnt/photos/2026/11/{number:09d}.jpg", {"label": "x"}, 20_000, number, number)
        changes.append(AddContent(row, ref, vectors))
    root = "file:///mnt/photos/"
    return cost(lambda: [lib.catalogue.apply(changes[at : at + 512], root=root) for at in range(0, n, 512)], n)


def size_of(lib: Any) -> int:
    lib.catalogue.query("PRAGMA wal_checkpoint(TRUNCATE)")
    return sum(path.stat().st_size for path in lib.path.rglob("*") if path.is_file() and "thumbnails" not in path.parts)


def elasticsearch(n: int) -> dict[str, Any]:
    """Measure one shard of each kind: bytes a vector, and what adding and asking cost the server."""
    import elasticsearch as client_library
    from benchmarks.vectors import embedding_like
    from tests.services.elastic import running

    vectors = embedding_like(n + 600)
    found: dict[str, Any] = {"vectors": n, "kinds": {}}
    with tempfile.TemporaryDirectory() as place, running(Path(place)) as cluster:
        client = client_library.Elasticsearch(f"http://{cluster.hosts}", request_timeout=300)
        for kind in ("int8_hnsw", "bbq_hnsw", "hnsw"):
            found["kinds"][kind] = shard(client, kind, vectors[:n], vectors[n:], cluster.pids[0])
    return found


def cpu_of(pid: int) -> float:
    """Return the processor's seconds of another process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shard(client: Any, kind: str, vectors: np.ndarray, queries: np.ndarray, server: int) -> dict[str, Any]:
    from elasticsearch import helpers

    field = {"type": "dense_vector", "dims": vectors.shape[1], "similarity": "dot_product"}
    options = {"type": kind, **({} if kind == "hnsw" else {"rescore_vector": {"oversample": 3.0}})}
    properties = {"v": {**field, "index_options": options}, "sha256": {"type": "keyword"}}
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1}
    client.indices.create(index=kind, mappings={"properties": properties}, settings=settings)
    rows = (
        {"_index": kind, "_id": at, "v": helpers.pack_dense_vector(vector), "sha256": f"{at:064x}"}
        for at, vector in enumerate(vectors)
    )
    started = cpu_of(server)
    helpers.bulk(client, rows, chunk_size=1000)
    client.indices.forcemerge(index=kind, max_num_segments=1)
    client.indices.refresh(index=kind)
    added = cpu_of(server) - started
    for at, query in enumerate(queries):
        if at == 200:  # the server has warmed up
            started = cpu_of(server)
        knn = {"field": "v", "query_vector": query.tolist(), "k": 10, "num_candidates": 100}
        client.search(index=kind, knn=knn, size=10, source=False)
    asked = cpu_of(server) - started
    stats = client.indices.stats(index=kind)["indices"][kind]["primaries"]
    heap = stats.get("dense_vector", {}).get("off_heap", {})
    client.indices.delete(index=kind)
    raw = heap.get("total_vec_size_bytes", 0) if kind != "hnsw" else 0  # full vectors are read for k × oversample alone
    in_memory = heap.get("total_size_bytes", 0) - raw
    return {
        "add_ms": round(1000 * added / len(vectors), 2),
        "ask_ms": round(1000 * asked / (len(queries) - 200), 2),
        "disk_bytes": round(stats["store"]["size_in_bytes"] / len(vectors)),
        "memory_bytes": round(in_memory / len(vectors)),
    }


# ------------------------------------------------------------------------------------------------ on paper


def project(figures: dict[str, Any]) -> str:
    """Return the tables of docs/scaling.md."""
    picture = figures["picture"]
    return "\n\n".join([one_picture(picture), adding(picture), index(figures), tails(picture["walk"])])


def one_picture(p: dict[str, Any]) -> str:
    rows = [
        ("read", p["read_ms"], f"{p['file_bytes']:,} read"),
        ("decode, digests, fingerprint, resize", p["decode_ms"], ""),
        ("the same for a photo of 12 megapixels", p["photo_decode_ms"], f"{p['photo_bytes']:,} read"),
        ("embed (bundled network)", p["embed_ms"], f"{p['answer_bytes']:,} from a worker to the writer"),
        ("commit (SQLite)", p["commit_ms"], f"{p['catalogue_bytes']:,} in the catalogue"),
        ("local features, for copies", p["copies_ms"], f"{p['copies_bytes']:,} in the catalogue"),
        ("thumbnail, on demand", p["thumbnail_ms"], f"{p['thumbnail_bytes']:,} on disk"),
    ]
    return table(("one picture", "ms of one core", "bytes"), [(what, f"{ms:.2f}", told) for what, ms, told in rows])


def adding(p: dict[str, Any]) -> str:
    small = p["read_ms"] + p["decode_ms"] + p["embed_ms"]
    photo_ms = p["read_ms"] + p["photo_decode_ms"] + p["embed_ms"]
    lines: list[tuple[str, Callable[[int], str]]] = [
        ("hours of one core, web pictures", lambda n: f"{n * small / 3.6e6:,.0f}"),
        ("hours of one core, photos of 12 megapixels", lambda n: f"{n * photo_ms / 3.6e6:,.0f}"),
        (
            f"machines of {CORES} cores to be done in a day, web pictures",
            lambda n: machines(n * small / 8.64e7 / CORES),
        ),
        ("… photos", lambda n: machines(n * photo_ms / 8.64e7 / CORES)),
        (
            "Gbit/s to read from storage in that day, photos",
            lambda n: f"{8 * n * p['photo_bytes'] / 86_400 / 1e9:,.1f}",
        ),
        ("hours of the one writer, SQLite", lambda n: f"{n * p['commit_ms'] / 3.6e6:,.1f}"),
        ("catalogue on SQLite", lambda n: size(n * p["catalogue_bytes"])),
        ("local features, for copies", lambda n: size(n * p["copies_bytes"])),
        ("thumbnails, if all are looked at", lambda n: size(n * p["thumbnail_bytes"])),
        ("digests that workers hold, to know what is known", lambda n: size(8 * n)),
        ("fingerprints in memory of who looks for copies", lambda n: size(41 * n)),
    ]
    return table(("adding", *names()), [(what, *(value(n) for n in SIZES)) for what, value in lines])


def index(figures: dict[str, Any]) -> str:
    rows = []
    for kind, (held, rate) in LOCAL.items():
        rows.append((f"`{kind}` on one machine", f"{held:,}", *(size(n * held) for n in SIZES), f"{rate:,}"))
    for kind, one in figures["elasticsearch"]["kinds"].items():
        needed = one["memory_bytes"] * COPIES
        counted = [machines(n * needed / (MEMORY * FOR_VECTORS)) for n in SIZES]
        rate = 1000 / one["ask_ms"]
        cells = [f"{size(n * needed)}, {count} machines" for n, count in zip(SIZES, counted, strict=True)]
        rows.append((f"Elasticsearch `{kind}`, {COPIES} copies", f"{one['memory_bytes']:,}", *cells, f"{rate:,.0f}"))
    return table(("vectors in memory", "bytes", *names(), "queries/s"), rows)


def tails(walked: dict[str, Any], *, draws: int = 20_000) -> str:
    """Simulate questions that wait for the slowest of all shards, from those of one graph.

    A graph of ten million is taken to be slower than the measured one by the ratio of the logarithms of their sizes, as
    the steps through it are.
    """
    slower = math.log(SHARD) / math.log(walked["vectors"])
    times = slower * np.asarray(walked["ms"])
    rng = np.random.default_rng(0)
    rows = [("1", f"{np.median(times):.2f} ms", f"{np.percentile(times, 99):.2f} ms")]
    for n in SIZES[1:]:
        slowest = np.max([rng.choice(times, draws) for _ in range(n // SHARD)], axis=0)
        rows.append((str(n // SHARD), f"{np.median(slowest):.2f} ms", f"{np.percentile(slowest, 99):.2f} ms"))
    return table(("shards asked at once (simulated)", "p50 of the slowest", "p99 of the slowest"), rows)


def names() -> list[str]:
    return [f"10{'⁷⁸⁹'[at]}" for at in range(len(SIZES))]


def machines(count: float) -> str:
    return f"{max(1, math.ceil(count)):,}"


def size(count: float) -> str:
    return f"{count / 1e12:,.1f} TB" if count >= 1e12 else f"{count / 1e9:,.1f} GB"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["measure", "elasticsearch", "project"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--vectors", type=int, default=6_000)
    options = parser.parse_args()
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if options.what == "project":
        print(project(figures))
        return
    key = "picture" if options.what == "measure" else "elasticsearch"
    figures[key] = measure(options.folder) if key == "picture" else elasticsearch(options.vectors)
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures[key], indent=1))


if __name__ == "__main__":
    main()
