"""Whether Elasticsearch gives the answers of SQLite, searched exactly, where a predicted class is the filter.

    python benchmarks/same_answers.py FOLDER

FOLDER holds pictures and a manifest.csv with a column ``label``. `sosie run` makes both libraries from the same
application.yaml but for ``store: elasticsearch``; `sosie train classifier` learns the labels from the first, and
`sosie labels predict` stores in both what the network tells of each picture. Then every picture is a query, filtered by
its own predicted class, and its ten nearest are compared. A node is started on loopback, as the tests do, unless --url
names one. Prints JSON; exit code 1 where less than 99 % of the answers are the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.distributed import address  # noqa: E402

import sosie  # noqa: E402
from sosie.cli import main as command  # noqa: E402
from sosie.elastic import read_url  # noqa: E402
from sosie.library import Library  # noqa: E402

K, LEAST = 10, 0.99
AT_ONCE = 50
LABEL = "predicted.class"


def run(*words: str | Path) -> None:
    """Run one command of Sosie."""
    print("$ sosie", *words, file=sys.stderr)
    if code := command([str(word) for word in words]):
        raise SystemExit(code)


def pipeline(place: Path, folder: Path, url: str, options: argparse.Namespace) -> None:
    """Make both libraries, and store what a network that learned the labels tells of each picture."""
    cluster = read_url(url)
    assert cluster is not None
    source = {"path": str(folder.resolve()), "manifest": "manifest.csv"}
    stores = {"sqlite": {}, "cluster": {"elasticsearch": {"hosts": cluster.hosts, "name": cluster.name}}}
    for name, more in stores.items():
        store = {"store": "elasticsearch", **more} if more else {}
        (place / name).mkdir()
        (place / name / "application.yaml").write_text(json.dumps({"sources": [source], **store}))
        run("run", place / name / "application.yaml")
    model = options.model
    if model is None:
        model = place / "classifier"
        learn = ("--label", "label", "--epochs", str(options.epochs), "--unfreeze", "0", "--views", "1", "--out", model)
        run("train", "classifier", "--library", place / "sqlite/sosie-library", *learn)
    for library in (place / "sqlite/sosie-library", url):
        run("labels", "predict", model, "--library", library)


def compare(exact: Library, cluster: Library) -> dict[str, Any]:
    """Ask both with every picture; its own predicted class is the filter."""
    pictures = exact.pictures()
    same, in_order, farthest, by_class = 0, 0, 0.0, dict[str, list[Any]]()
    for picture in pictures:
        by_class.setdefault(str(picture.labels[LABEL]), []).append(picture)
    for name, some in by_class.items():
        where = f"{LABEL} = '{name}'"
        for start in range(0, len(some), AT_ONCE):
            asked = some[start : start + AT_ONCE]
            known = cluster.catalogue.content_ids([bytes.fromhex(one.sha256) for one in asked])
            ids = [known[bytes.fromhex(one.sha256)] for one in asked]
            expected = exact.search_many([one.id for one in asked], k=K, where=where)
            got = cluster.search_many(ids, k=K, where=where)
            for mine, theirs in zip(got, expected, strict=True):
                same += {hit.uri for hit in mine} == {hit.uri for hit in theirs}
                in_order += [hit.uri for hit in mine] == [hit.uri for hit in theirs]
                pairs = zip(mine, theirs, strict=False)
                farthest = max([farthest, *(abs(a.score - b.score) for a, b in pairs)])
    right = sum(picture.labels[LABEL] == picture.labels.get("label") for picture in pictures)
    return {
        "pictures": len(pictures),
        "classes": len(by_class),
        "predicted right": round(right / len(pictures), 4),
        "sqlite": exact.view().description["kind"],
        "elasticsearch": cluster.view().description["kind"],
        f"same top {K}": same,
        "share": round(same / len(pictures), 4),
        "in the same order": in_order,
        "largest difference of a score": round(farthest, 7),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="a classifier that was trained before")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--url", help="elasticsearch://host:9200/name of a library that may be written and deleted")
    options = parser.parse_args()
    with address(options.url) as url, tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        try:
            pipeline(place, options.folder, url, options)
            with sosie.open(place / "sqlite/sosie-library") as exact, sosie.open(url) as cluster:
                found = compare(exact, cluster)
        finally:
            with sosie.open(url) as lib:
                lib.catalogue.destroy()
    print(json.dumps(found, indent=1))
    return 0 if found["share"] >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
