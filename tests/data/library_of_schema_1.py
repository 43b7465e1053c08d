"""Make library-of-schema-1.tar.xz: run once, by the Sosie whose catalogue had schema 1 (2026-11-29); kept to say how.

The archive holds `library` as that Sosie left it, `pictures`, one of which is broken, and `answers.json`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from pathlib import Path

import sosie
from tests.pictures import jpeg

ARCHIVE = Path(__file__).with_name("library-of-schema-1.tar.xz")
WORK = Path("/tmp/pictures-of-2026")


def main() -> None:
    """Draw, add, label, decide, build an index, and write down what the library answers."""
    shutil.rmtree(WORK, ignore_errors=True)
    pictures = WORK / "pictures"
    pictures.mkdir(parents=True)
    for seed in range(6):
        (pictures / f"{seed}.jpg").write_bytes(jpeg(seed))
    (pictures / "broken.jpg").write_bytes(jpeg(9)[:300])
    with sosie.open(WORK / "library", model="histogram") as lib:
        lib.add(pictures, workers=1, labels={"from": "drawn"})
        lib.set_labels(1, {"label": "cat", "year": 1999.5, "tags": ("x", "y")})
        shas = [lib.picture(i).sha256 for i in (1, 2)]
        lib.catalogue.put_decision(*shas, "not_a_copy", note="two sunsets", at=1_764_000_000.25)
        lib.copies.prepare()
        lib.indexes.build("exact")
        lib.add_bytes(jpeg(6))
        (WORK / "answers.json").write_text(json.dumps(answers(lib, pictures), indent=1), encoding="utf-8")
    with tarfile.open(ARCHIVE, "w:xz") as archive:
        for name in ("library", "pictures", "answers.json"):
            archive.add(WORK / name, arcname=name)


def answers(lib: sosie.Library, pictures: Path) -> dict[str, object]:
    """Return what a library says of itself, as JSON has it."""
    hits = {
        path.name: [[hit.id, round(hit.score, 4)] for hit in lib.search(path.read_bytes(), k=3).hits]
        for path in sorted(pictures.glob("?.jpg"))
    }
    told = {
        "pictures": [record.to_json() for record in lib.pictures()],
        "hits": hits,
        "decisions": [[d.a, d.b, d.decision, d.note, d.at] for d in lib.catalogue.decisions()],
        "quarantine": [[row.uri, row.reason, row.tries] for row in lib.quarantine()],
        "cats": [record.id for record in lib.pictures(where="label = 'cat' and year > 1999")],
        "index": [lib.view().description["kind"], lib.view().description["tail"]],
    }
    found: dict[str, object] = json.loads(json.dumps(told))
    return found


if __name__ == "__main__":
    sys.exit(main())
