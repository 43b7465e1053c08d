"""Sosie's indexes beside the bare libraries: recall over queries a second, memory, build time, overhead.

    python benchmarks/index.py build  --n 100000 --work DIR            # build every file once
    python benchmarks/index.py search --n 100000 --work DIR            # one process and one thread for each peer
    python benchmarks/index.py overhead --n 100000 --work DIR          # Sosie over the bare library, equal parameters
    python benchmarks/index.py low-memory --n 1000000 --work DIR       # resident memory of the inverted lists
    python benchmarks/index.py report --n 100000 --work DIR            # the table, and the plot as SVG

``build`` and ``search`` take ``--peers`` to go in pieces; what is there is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from index_peers import PEERS, Peer
from vectors import embedding_like

K = 10
PLOTTED = ("sosie symqg", "faiss hnsw", "hnswlib", "usearch f16", "sosie ivf", "sosie annoy")
PLOTTED_FROM = 0.8
TONES = ("#2f6fb0", "#c4572b", "#2e8b62", "#8a5bb0", "#b08a1e", "#5f6b76")
STYLE = (  # the page brings this for charts inside it
    "<style>.chart{font-family:sans-serif;background:#fff}.chart text{fill:#555;font-size:12px}"
    ".chart .name{fill:#111;font-size:14px;font-weight:600}.chart .axis{stroke:#777;fill:none}.chart .grid{stroke:#ddd}"
    ".chart .line{stroke:var(--tone);stroke-width:2;fill:none}.chart .mark{fill:var(--tone)}"
    + "".join(f".chart .s{number}{{--tone:{tone}}}" for number, tone in enumerate(TONES, 1))
    + "</style>"
)
QUERIES = 2_000
PATIENCE = 8.0  # seconds for one setting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["build", "search", "one", "overhead", "low-memory", "report"])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, help="real vectors as .npy, n of them and 2000 for queries")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="for building; searching takes one")
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--probes", type=int, default=128, help="for low-memory")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    args = parser.parse_args()
    peers = [PEERS[name.strip()] for name in args.peers.split(",")]
    place = args.work / str(args.n)
    place.mkdir(parents=True, exist_ok=True)
    if args.vectors and not (place / "vectors.npy").exists():
        keep(place, np.load(args.vectors)[: args.n + QUERIES], args.n)
    if args.step == "build":
        build(place, peers, args.n, args.threads)
    elif args.step == "search":
        for peer in peers:
            if (place / peer.files / "build.json").exists():
                run_apart("one", args, peer)
    elif args.step == "one":
        search_one(place, peers[0], args.n)
    elif args.step == "overhead":
        if os.environ.get("OMP_NUM_THREADS") == "1":
            overhead(place, args.n, args.target)
        else:  # the bare libraries are asked for one thread, so Sosie is too; OpenBLAS reads it when it starts
            run_apart("overhead", args, peers[0])
    elif args.step == "low-memory":
        low_memory(place, args.probes)
    else:
        report(place, args.n, args.target, args.out)


# ------------------------------------------------------------------------------------------------ data


def library_of(place: Path, n: int) -> np.ndarray:
    """Return the vectors searched, mapped; made once, the queries and their true neighbours beside them."""
    path = place / "vectors.npy"
    if not path.exists():
        keep(place, embedding_like(n + QUERIES), n)
    return np.load(path, mmap_mode="r")


def keep(place: Path, everything: np.ndarray, n: int) -> None:
    """Shuffle, part the library from the queries, and store both with the truth."""
    everything = everything[np.random.default_rng(0).permutation(len(everything))]
    library, queries = everything[:n], everything[n:]
    np.save(place / "queries.npy", queries)
    np.save(place / "truth.npy", truth_of(library, queries))
    np.save(place / "vectors.npy", library)


def truth_of(library: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the score of each query's k-th neighbour, independently of Sosie's own code."""
    kth = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), 100):
        scores = queries[start : start + 100] @ library.T
        kth[start : start + 100] = np.partition(scores, -K, axis=1)[:, -K]
    return kth


def recall(library: np.ndarray, queries: np.ndarray, kth: np.ndarray, found: np.ndarray) -> float:
    """Return recall@k with ties allowed; an id given twice counts once."""
    hits = 0
    for query, limit, ids in zip(queries, kth, found, strict=True):
        scores = library[np.unique(ids[ids >= 0])] @ query
        hits += min(K, int((scores >= limit - 1e-6).sum()))
    return hits / (K * len(queries))


# ------------------------------------------------------------------------------------------------ steps


def build(place: Path, peers: list[Peer], n: int, threads: int) -> None:
    library = np.ascontiguousarray(library_of(place, n))
    for peer in peers:
        folder = place / peer.files
        if peer.build is None or (folder / "build.json").exists():
            continue
        folder.mkdir(exist_ok=True)
        started, worked = time.perf_counter(), time.process_time()
        peer.build(folder, library, threads)
        seconds, cpu = time.perf_counter() - started, time.process_time() - worked
        size = sum(file.stat().st_size for file in folder.iterdir() if file.name not in ("vectors.npy", "ids.npy"))
        made = {"seconds": seconds, "cpu_seconds": cpu, "threads": threads, "bytes": size}
        (folder / "build.json").write_text(json.dumps(made))
        print(f"{peer.name}: {seconds:.1f} s ({cpu:.1f} s of processor), {size / n:.0f} bytes a vector", flush=True)


def run_apart(step: str, args: argparse.Namespace, peer: Peer) -> None:
    command = [sys.executable, __file__, step, "--n", str(args.n), "--work", str(args.work), "--peers", peer.name]
    command += ["--target", str(args.target)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True)


def search_one(place: Path, peer: Peer, n: int) -> None:
    library, queries, kth = library_of(place, n), np.load(place / "queries.npy"), np.load(place / "truth.npy")
    searcher = peer.open(place / peer.files, library)
    searcher(queries[:20], K, peer.settings[0])
    rows: list[dict[str, float]] = []
    held = 0
    for setting in peer.settings:
        row = time_setting(lambda asked, setting=setting: searcher(asked, K, setting), queries)
        held = held or resident()  # before counting recall maps the library into this process too
        found = searcher(queries[: row["queries"]], K, setting)
        row["recall"] = recall(library, queries[: row["queries"]], kth[: row["queries"]], found)
        rows.append({"setting": setting, **row})
        print(f"{peer.name:26} {setting:6} recall {row['recall']:.4f}  {row['per_second']:8.0f}/s  "
              f"one {row['p50_ms']:.3f} ms", flush=True)  # fmt: skip
        if row["recall"] > 0.998:
            break
    (place / f"{peer.name}.json").write_text(json.dumps({"rows": rows, "rss": held}))


def time_setting(search, queries: np.ndarray) -> dict[str, float]:
    """Time batches of 100 and single queries: the medians of the processor's time, since the machine may be shared."""
    each = processor_time(lambda: search(queries[:100])) / 100
    count = int(np.clip(PATIENCE / each, 100, len(queries)) // 100 * 100)
    batches = [processor_time(lambda at=at: search(queries[at : at + 100])) for at in range(0, count, 100)]
    singles = [processor_time(lambda at=at: search(queries[at : at + 1])) for at in range(min(300, count))]
    return {
        "queries": count,
        "per_second": 100 / float(np.median(batches)),
        "p50_ms": 1000 * float(np.median(singles)),
    }


def processor_time(call) -> float:
    """Return the seconds that this process, all its threads together, worked for one call."""
    started = time.process_time_ns()
    call()
    return (time.process_time_ns() - started) / 1e9


def overhead(place: Path, n: int, target: float) -> None:
    """Time Sosie and the library it stands on in turns, in one process, on one file at one setting."""
    library, queries = library_of(place, n), np.load(place / "queries.npy")
    results = {}
    pairs = (("sosie symqg", "rabitqlib symqg"), ("sosie hnsw", "faiss hnsw"), ("sosie annoy", "annoy"))
    for mine, theirs in pairs:
        folder = place / PEERS[mine].files
        if not (folder / "build.json").exists():
            continue
        setting = setting_reaching(place, mine, target)
        searchers = [PEERS[name].open(folder, library) for name in (mine, theirs)]
        batch = in_turns([partial(each, k=K, setting=setting) for each in searchers], queries, size=100)
        one = in_turns([partial(each, k=K, setting=setting) for each in searchers], queries, size=1)
        results[mine] = {
            "over": theirs, "setting": setting,
            "batch_percent": 100 * (batch[0] / batch[1] - 1), "one_ms": 1000 * (one[0] - one[1]),
        }  # fmt: skip
        print(mine, json.dumps(results[mine]), flush=True)
    (place / "overhead.json").write_text(json.dumps(results))


def in_turns(searchers, queries: np.ndarray, size: int) -> list[float]:
    """Return the median processor seconds of each, in turns so that both see the same machine.

    Who goes first changes, and nobody is asked what was asked just before: it would find the answer in the cache.
    """
    times: list[list[float]] = [[] for _ in searchers]
    until = time.perf_counter() + PATIENCE * 4
    starts = np.arange(0, len(queries), size)
    for turn in range(4_000):
        for place in range(len(searchers)):
            which = (place + turn) % len(searchers)
            at = starts[(turn + place * len(starts) // 2) % len(starts)]
            asked = queries[at : at + size]
            times[which].append(processor_time(lambda which=which, asked=asked: searchers[which](asked)))
        if time.perf_counter() > until:
            break
    return [float(np.median(each)) for each in times]


def setting_reaching(place: Path, name: str, target: float) -> int:
    rows = json.loads((place / f"{name}.json").read_text())["rows"]
    return next((row["setting"] for row in rows if row["recall"] >= target), rows[-1]["setting"])


def low_memory(place: Path, probes: int) -> None:
    """Search the inverted lists in a process that holds nothing else, and say what stays resident."""
    from sosie.indexes.ivf import IvfIndex

    queries, kth = np.load(place / "queries.npy"), np.load(place / "truth.npy")
    before = resident()
    index = IvfIndex(low_memory=True, probes=probes)
    index.load(str(place / "ivf"))
    started, most = time.perf_counter(), 0
    found = []
    for at in range(0, len(queries), 10):
        found.append(index.search(queries[at : at + 10], K)[0])
        most = max(most, resident())
    seconds = time.perf_counter() - started
    reached = recall(np.load(place / "vectors.npy", mmap_mode="r"), queries, kth, np.concatenate(found))
    told = {"probes": probes, "recall": reached, "rss": most, "before": before, "per_second": len(queries) / seconds}
    (place / "low-memory.json").write_text(json.dumps(told))
    print(json.dumps(told))


def resident() -> int:
    """Return the resident bytes of this process, mapped files among them."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


# ------------------------------------------------------------------------------------------------ report


def report(place: Path, n: int, target: float, out: Path) -> None:
    from sosie.present.charts import Series, line_chart

    series = []
    print(f"| {n:,} vectors | at recall@10 ≥ {target} | queries/s | one query | bytes a vector | build |")
    print("|---|---|---|---|---|---|")
    for name, peer in PEERS.items():
        path = place / f"{name}.json"
        if not path.exists():
            continue
        told, made = json.loads(path.read_text()), json.loads((place / peer.files / "build.json").read_text())
        rows = told["rows"]
        if name in PLOTTED:
            shown = [row for row in rows if row["recall"] >= PLOTTED_FROM]
            series.append(Series(name, [row["recall"] for row in shown], [row["per_second"] for row in shown]))
        row = max((row for row in rows if row["recall"] >= target), key=lambda row: row["per_second"], default=None)
        reached = f"{row['recall']:.3f} at {row['setting']}" if row else f"{rows[-1]['recall']:.3f} at most"
        row = row or rows[-1]
        print(f"| {name} | {reached} | {row['per_second']:,.0f} | {row['p50_ms']:.3f} ms | {made['bytes'] / n:,.0f} | "
              f"{made['cpu_seconds']:,.0f} s |")  # fmt: skip
    chart = line_chart(
        series, title=f"Recall@10 and speed, {n:,} vectors, one thread", x_label="recall@10",
        y_label="queries a second", log_y=True, width=760, height=460,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    alone = str(chart).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{STYLE}", 1)
    (out / f"index-{n}.svg").write_text(alone + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
