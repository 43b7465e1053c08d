"""A search says which hits are copies from what is stored of them; where nothing is stored, fingerprints speak."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.alterations import alter
from sosie.types import Verdict
from sosie.verify.calibration import shipped_calibration
from sosie.verify.evidence import PairEvidence, believable, examine
from sosie.verify.features import RootSift
from tests.scenes import as_file, as_picture, scene

COPIES = (Verdict.ALTERED_COPY, Verdict.CONTAINS)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sosie.Library]:
    folder = tmp_path_factory.mktemp("hits")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(pictures_of(folder, range(10)))
        made.copies.prepare(workers=1)
        yield made


def pictures_of(folder: Path, seeds: range) -> Path:
    pictures = folder / "pictures"
    pictures.mkdir()
    for seed in seeds:
        (pictures / f"{seed:02d}.png").write_bytes(as_file(scene(seed)))
    return pictures


def id_of(library: sosie.Library, name: str) -> int:
    return next(record.id for record in library.pictures() if record.uris[0].endswith(name))


def test_a_search_names_the_copy_and_only_it(library: sosie.Library) -> None:
    hits = library.search(as_file(alter(scene(3), "jpeg", 1).pixels), k=10).hits
    copies = [hit for hit in hits if hit.verdict in COPIES]
    assert [hit.id for hit in copies] == [id_of(library, "03.png")]
    assert copies[0].probability is not None and copies[0].probability > 0.9
    assert copies[0].evidence["inliers"] > 10
    assert hits[0] is copies[0]
    assert all(hit.probability is None for hit in hits if hit not in copies)


def test_more_hits_are_no_more_questions_to_the_catalogue(library: sosie.Library) -> None:
    asked: list[str] = []
    library.search(1, k=2)
    connection = library.catalogue.connection()
    connection.set_trace_callback(asked.append)
    counts = []
    for k in (2, 8):
        asked.clear()
        assert len(library.search(1, k=k)) == k
        counts.append(len(asked))
    connection.set_trace_callback(None)
    assert counts[0] == counts[1]


def test_verdicts_put_copies_first_and_change_nothing_else(library: sosie.Library) -> None:
    data = as_file(scene(4)[10:, 10:])
    plain, told = library.search(data, verify=False), library.search(data)
    assert sorted((hit.id, hit.score) for hit in plain) == sorted((hit.id, hit.score) for hit in told)
    copies = [hit.id for hit in told if hit.verdict in COPIES]
    assert [hit.id for hit in told] == copies + [hit.id for hit in plain if hit.id not in copies]
    assert [hit.rank for hit in told] == list(range(1, len(told) + 1))
    assert all(hit.verdict is Verdict.SIMILAR and hit.probability is None for hit in plain)


def test_a_picture_of_the_library_is_asked_by_what_is_stored_or_read(library: sosie.Library) -> None:
    copy_id, _ = library.add_bytes(as_file(scene(5)[8:, 8:]))
    try:
        told = {hit.id: hit for hit in library.search(copy_id)}
        assert told[id_of(library, "05.png")].verdict in COPIES
        library.copies.prepare(workers=1)
        told = {hit.id: hit for hit in library.search(copy_id)}
        assert told[id_of(library, "05.png")].verdict in COPIES
    finally:
        library.remove([copy_id])


def test_sums_of_pictures_have_no_verdict(library: sosie.Library, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(as_file(scene(6)[5:, 5:]))
    assert all(hit.probability is None for hit in library.search(f"{path} + {path}"))


def test_what_people_decided_counts(library: sosie.Library, tmp_path: Path) -> None:
    data = as_file(scene(7)[4:, 4:])
    first = next(hit for hit in library.search(data) if hit.verdict in COPIES)
    mine, theirs = hashlib.sha256(data).hexdigest(), library.picture(first.id).sha256
    library.catalogue.put_decision(mine, theirs, "not_a_copy")
    again = {hit.id: hit for hit in library.search(data)}[first.id]
    assert (again.verdict, again.probability) == (Verdict.SIMILAR, 0.0)
    library.catalogue.drop_decision(mine, theirs)
    assert {hit.id: hit for hit in library.search(data)}[first.id].verdict in COPIES


# ------------------------------------------------------------------------------------------------ nothing is stored


def test_without_local_features_a_near_fingerprint_speaks(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        library.add(pictures_of(tmp_path, range(20, 24)))
        small = io.BytesIO()
        Image.fromarray(scene(21)).resize((160, 120), Image.Resampling.LANCZOS).save(small, "JPEG", quality=80)
        found = next(iter(library.copies.find_many([("small", small.getvalue())])))
        assert [hit.uri.rsplit("/", 1)[-1] for hit in found] == ["21.png"]
        assert found[0].probability > 0.95
        other = next(iter(library.copies.find_many([("other", as_file(scene(70)))])))
        assert len(other) == 0


@pytest.mark.parametrize(("distance", "quality"), [(0, 100), (31, 50)])
def test_a_near_and_rich_fingerprint_decides_alone(distance: int, quality: int) -> None:
    evidence = believable(PairEvidence(pdq_distance=distance, compared=False), quality)
    assert shipped_calibration().probability(evidence) > 0.95


@pytest.mark.parametrize(("distance", "quality"), [(32, 100), (0, 49)])
def test_one_that_is_far_or_poor_does_not(distance: int, quality: int) -> None:
    evidence = believable(PairEvidence(pdq_distance=distance, compared=False), quality)
    assert shipped_calibration().probability(evidence) < 0.1


def test_a_fingerprint_does_not_outweigh_places_that_disagree() -> None:
    evidence = believable(PairEvidence(pdq_distance=20, compared=True), 100)
    assert shipped_calibration().probability(evidence) < 0.1


def test_plain_pictures_are_not_compared() -> None:
    plain = [RootSift().extract(as_picture(np.full((90, 120, 3), grey, np.uint8))) for grey in (200, 90)]
    assert not examine(*plain).compared
    assert examine(*(RootSift().extract(as_picture(scene(seed))) for seed in (1, 2))).compared
