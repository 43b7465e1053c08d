"""A library on Elasticsearch gives the answers that one in a folder gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.catalogue.opening import in_folder
from sosie.cli import main
from sosie.errors import FilterError, LibraryClosed, UnknownName, UsageError
from sosie.query.class_first import ClassFirst
from sosie.types import Verdict
from tests.cluster.conftest import Open
from tests.networks import classifier, package
from tests.painted import paint, painted
from tests.pictures import jpeg

SHARED_K = 10


def gallery(folder: Path, count: int = 12) -> Path:
    for n in range(count):
        place = folder / ("even" if n % 2 == 0 else "odd") / f"{n}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(jpeg(n))
    return folder


def test_pictures_are_found_as_soon_as_add_returns(opened: Open, tmp_path: Path) -> None:
    lib = opened()
    report = lib.add(gallery(tmp_path / "p"), label_from_folders=True, workers=1)
    assert (report.indexed, report.seen) == (12, 12)
    first = lib.search(tmp_path / "p/even/4.jpg", k=3)[0]
    assert (first.verdict, first.labels) == (Verdict.IDENTICAL, {"label": "even"})
    assert {hit.labels["label"] for hit in lib.search(first.id, k=5, where="label = 'odd'")} == {"odd"}
    assert lib.labels() == {"label": {"even": 6, "odd": 6}}


def test_adding_again_costs_nothing_and_doubles_nothing(opened: Open, tmp_path: Path) -> None:
    lib = opened()
    lib.add(gallery(tmp_path / "p"), workers=1)
    again = opened().add(tmp_path / "p", workers=1)
    assert (again.unchanged, again.indexed) == (12, 0)
    (tmp_path / "p/even/0.jpg").rename(tmp_path / "p/moved.jpg")
    (tmp_path / "p/even/2.jpg").unlink()
    (tmp_path / "p/even/4.jpg").write_bytes(b"no picture")
    report = lib.add(tmp_path / "p", sync=True, workers=1)
    assert (report.moved, report.dropped, report.quarantined.total()) == (1, 1, 1)
    assert lib.stats()["pictures"] == 10 and lib.stats()["quarantined"] == 1


def test_pictures_are_removed_labelled_and_listed(opened: Open, tmp_path: Path) -> None:
    lib = opened()
    lib.add(gallery(tmp_path / "p"), workers=1)
    first, second, *_ = lib.pictures()
    lib.set_labels(first.id, {"mood": "calm"})
    assert lib.remove([second.id]) == 1
    assert [p.id for p in lib.pictures(where="mood = 'calm'")] == [first.id]
    assert len(lib.pictures()) == 11 and len(lib.thumbnail(first.id)) > 100
    with pytest.raises(UnknownName):
        lib.picture(second.id)
    with pytest.raises(FilterError):
        lib.search(first.id, where="label = ")


def test_words_and_labels_are_searched_for(opened: Open, tmp_path: Path) -> None:
    lib = opened(model="bundled")
    lib.add(gallery(tmp_path / "p"), label_from_folders=True, workers=1)
    assert len(lib.search(text="flamingos", k=5)) == 5
    assert {hit.labels["label"] for hit in lib.search(text="odd", k=3, where="label = 'odd'")} == {"odd"}
    with pytest.raises(UsageError, match="not 'helicopter'"):
        lib.search(text="helicopter")
    lib.catalogue.put_facts({lib.pictures()[0].id: {"tag": ("flamingo",)}})
    assert [hit.facts for hit in lib.search(text="flamingo", where="tag = 'flamingo'")] == [{"tag": ("flamingo",)}]
    assert lib.tags() == {"flamingo": 1}


def test_copies_are_found_and_proved(opened: Open, tmp_path: Path, sosie_shared: Path) -> None:
    from PIL import Image

    pack = sorted((sosie_shared / "data/caltech101-dev/images").glob("*.jpg"))[:12]
    lib = opened()
    (tmp_path / "p").mkdir()
    for path in pack:
        (tmp_path / "p" / path.name).write_bytes(path.read_bytes())
    lib.add(tmp_path / "p", workers=1)
    lib.copies.prepare(workers=1)
    with Image.open(pack[3]) as image:
        image.convert("RGB").resize((image.width * 3 // 4, image.height * 3 // 4)).save(tmp_path / "edited.jpg")
    found = next(iter(lib.copies.find_many([("edited", (tmp_path / "edited.jpg").read_bytes())])))
    assert found[0].verdict == Verdict.ALTERED_COPY
    assert found[0].uri.endswith(pack[3].name)


def test_a_class_is_told_first_and_filters_likeness_then(opened: Open, address: str, tmp_path: Path) -> None:
    colours = package(tmp_path / "net", "tones", np.vstack([np.eye(3), np.zeros(3)])) / "tones.json"
    classes = {"output": "embedding", "names": ["red", "green", "blue"], "several": False, "label": "tone"}
    colours.write_text(json.dumps({**json.loads(colours.read_text()), "classes": classes}))
    lib = opened()
    lib.add(gallery(tmp_path / "p"), workers=1)
    assert main(["labels", "predict", str(colours), "--library", address]) == 0
    told = lib.labels()["predicted.class"]
    assert sum(told.values()) == 12 and len(told) > 1
    for name, count in told.items():
        asked = lib.pictures(where=f"predicted.class = '{name}'")
        hits = lib.search(asked[0].id, k=12, where=f"predicted.class = '{name}'")
        assert {hit.id for hit in hits} == {picture.id for picture in asked[1:]} and len(asked) == count


def test_what_needs_a_folder_is_refused_with_a_word(opened: Open, tmp_path: Path) -> None:
    lib = opened()
    with pytest.raises(UsageError, match="keeps no pictures"):
        lib.add_bytes(jpeg(1))
    with pytest.raises(UsageError, match="lies on a cluster"):
        in_folder(lib.catalogue)


def test_run_on_elasticsearch_answers_as_on_sqlite(address: str, sosie_shared: Path, tmp_path: Path) -> None:
    """Caltech-101, every fifth picture a query, filtered by its own label: the same top 10, ties allowed."""
    hosts, name = address.removeprefix("elasticsearch://").split("/")
    common = {
        "model": "histogram",
        "sources": [{"path": str(sosie_shared / "data/caltech101-dev"), "manifest": "manifest.csv"}],
    }
    on_cluster = {"store": "elasticsearch", "elasticsearch": {"hosts": [f"http://{hosts}"], "name": name}}
    for folder, more in (("files", {}), ("cluster", on_cluster)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "application.yaml").write_text(json.dumps({**common, **more}))
        assert main(["run", "--json", str(tmp_path / folder / "application.yaml")]) == 0
    with sosie.open(tmp_path / "files/sosie-library") as files, sosie.open(address) as cluster:
        asked = files.pictures()[::5]
        same = 0
        for picture in asked:
            where = f"label = '{picture.labels['label']}'"
            query = cluster.catalogue.content_id(bytes.fromhex(picture.sha256))
            expected = files.search(picture.id, k=SHARED_K, where=where)
            got = cluster.search(query, k=SHARED_K, where=where)
            np.testing.assert_allclose([h.score for h in got], [h.score for h in expected], atol=1e-5)
            same += {h.uri for h in got} == {h.uri for h in expected}
        assert len(asked) == 120 and same >= 0.99 * len(asked)


def test_the_command_line_works_on_an_address(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery(tmp_path / "p", 4)
    assert main(["add", str(tmp_path / "p"), "--library", address, "--model", "histogram"]) == 0
    capsys.readouterr()
    assert main(["search", str(tmp_path / "p/even/0.jpg"), "--library", address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"][0]["verdict"] == "identical"
    assert main(["keys", "create", "me", "--library", address]) == 0
    assert main(["doctor", "--library", address]) == 2
    assert "lies on a cluster" in capsys.readouterr().err


def test_class_first_is_a_filter_of_the_cluster(opened: Open, tmp_path: Path) -> None:
    lib = opened()
    lib.add(paint(tmp_path / "p", 4), label_from_folders=True, workers=1)
    network = str(classifier(tmp_path / "net", "model"))
    first = lib.pictures(where="label = 'blue'")[0].id
    lib.set_labels(first, {"label": None, "predicted.class": "red"})
    found = lib.search(painted("red", 50), k=12, class_first=ClassFirst(classifier=network))
    assert len(found) == 5 and first in {hit.id for hit in found}
    unsure = lib.search(painted("grey", 5), k=12, class_first=ClassFirst(0.9, network))
    assert len(unsure) == 12 and unsure.asked["class"]["reason"] == "unsure"


def test_it_is_a_container_and_takes_what_programs_hold(opened: Open, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    lib = opened()
    paths = sorted(map(str, gallery(tmp_path / "p", 5).rglob("*.jpg")))
    assert lib.add(pandas.DataFrame({"path": paths, "n": range(5)}), workers=1).indexed == 5
    assert len(lib) == 5 and paths[0] in lib and f"{paths[0]}.txt" not in lib
    ids = [record.id for record in lib]
    assert ids == sorted(ids) and len(ids) == 5 and ids[0] in lib and lib[ids[0]].id == ids[0]
    assert sorted(lib.to_pandas()["labels.n"]) == [0, 1, 2, 3, 4]
    assert lib.labels.from_frame({"path": [*paths, "nowhere.jpg"], "mood": ["calm"] * 6}).pictures == 5
    assert lib.labels()["mood"] == {"calm": 5}
    pixels = np.asarray(Image.open(paths[2]))
    for query in (pixels, lib.embed(pixels), lib.search(pixels, k=1)[0]):
        assert len(lib.search(query, k=3)) == 3
    with pytest.raises(UsageError, match="a library on a cluster keeps no pictures"):
        lib.add([pixels], workers=1)
    lib.close()
    for use in (lambda: lib.search(paths[0]), lambda: len(lib), lambda: list(lib)):
        with pytest.raises(LibraryClosed, match="was closed"):
            use()
