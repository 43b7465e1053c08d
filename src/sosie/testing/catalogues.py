"""The contract of a catalogue, as checks that any store can be put through.

@pytest.mark.parametrize("check", CATALOGUE_CHECKS, ids=lambda check: check.__name__)
def test_contract(check):
    check(an_empty_store)
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from sosie.catalogue import (
    AddContent,
    AddLocation,
    AddQuarantine,
    AddRegions,
    ContentRow,
    Job,
    KnownPlace,
    PairVerdict,
    Space,
    Store,
    Vouched,
)
from sosie.catalogue.records import LocalFeatures
from sosie.embedders.histogram import HistogramEmbedder
from sosie.errors import FilterError, UnknownName, UsageError
from sosie.types import EXACT_PIXELS, FloatMatrix, ImageRef, LabelValue, Region, Verdict

__all__ = ["CATALOGUE_CHECKS", "ROOT", "add", "digest", "row"]

ROOT = "file:///pictures/"


def digest(n: int) -> bytes:
    """Return the made-up SHA-256 of picture ``n``; its ids on stores that derive them ascend with n."""
    return n.to_bytes(4) + bytes([n % 251]) * 28


def row(n: int) -> ContentRow:
    """Return what was read out of picture ``n``."""
    byte = bytes([n % 251])
    return ContentRow(digest(n), 100 + n, "JPEG", 30 + n, 20, byte * 16, byte * 32, 80, EXACT_PIXELS, 1)


def direction(n: int, dim: int) -> FloatMatrix:
    """Return the unit vector of picture ``n``: neighbours in number are neighbours in direction."""
    vector = np.zeros(dim, np.float32)
    vector[0], vector[1] = np.cos(n / 10), np.sin(n / 10)
    return vector


def add(store: Store, *numbers: int, labels: dict[str, LabelValue] | None = None) -> Space:
    """Add made-up pictures; return the space that their vectors are in."""
    space = store.ensure_spaces(HistogramEmbedder.spec)[0]
    changes = [
        AddContent(row(n), ImageRef(f"{ROOT}{n}.jpg", labels or {}, 1, 2, 3), {space.id: direction(n, space.dim)})
        for n in numbers
    ]
    store.apply(changes, root=ROOT)
    return space


def _id(store: Store, n: int) -> int:
    found = store.content_id(digest(n))
    assert found is not None
    return found


def check_a_picture_is_found_by_its_place_its_bytes_and_its_pixels(store: Store) -> None:
    add(store, 7, labels={"label": "cat"})
    content_id = _id(store, 7)
    located = store.located(f"{ROOT}7.jpg")
    assert located is not None
    assert (located.content_id, located.sha256, located.root) == (content_id, digest(7), ROOT)
    assert located.stamp == (1, 2, 3)
    assert store.same(digest(7), row(7).pixels) == store.same(digest(7), None) == {content_id: Verdict.IDENTICAL}
    alike = {content_id: Verdict.SAME_PIXELS}
    assert store.same(None, row(7).pixels) == store.same(digest(8), row(7).pixels) == alike
    assert store.same(None, None) == store.same(digest(8), row(8).pixels) == {}
    record = store.pictures([content_id])[0]
    assert (record.labels, record.uris, record.width) == ({"label": "cat"}, (f"{ROOT}7.jpg",), 37)
    assert store.content(content_id) == row(7) and store.contents([content_id]) == {content_id: row(7)}
    assert store.content_ids([digest(8), digest(7)]) == {digest(7): content_id}
    known = store.look_up([f"{ROOT}7.jpg", f"{ROOT}8.jpg"])
    assert known[f"{ROOT}7.jpg"].located == located and known[f"{ROOT}8.jpg"] == KnownPlace()
    assert store.located(f"{ROOT}8.jpg") is None and store.content_id(digest(8)) is None


def check_what_is_not_there_is_said_so(store: Store) -> None:
    assert store.pictures([12345]) == [] and store.uris(12345) == [] and store.labels_of(12345) == {}
    for ask in (lambda: store.content(12345), lambda: store.space("none")):
        _raises(UnknownName, ask)


def check_writing_twice_is_writing_once(store: Store) -> None:
    for _ in range(2):
        add(store, 1, 2, labels={"tags": ("b", "a")})
    assert store.counts()["pictures"] == 2 and store.counts()["locations"] == 2
    assert store.labels_of(_id(store, 1)) == {"tags": ("a", "b")}


def check_the_same_bytes_at_two_places_are_one_picture(store: Store) -> None:
    add(store, 1)
    store.apply([AddLocation(digest(1), ImageRef(f"{ROOT}copy.jpg"))], root=ROOT)
    assert store.counts()["pictures"] == 1 and store.counts()["locations"] == 2
    assert store.uris(_id(store, 1)) == [(f"{ROOT}1.jpg", ROOT), (f"{ROOT}copy.jpg", ROOT)]


def check_a_place_holds_one_picture(store: Store) -> None:
    space = add(store, 1)
    change = AddContent(row(2), ImageRef(f"{ROOT}1.jpg"), {space.id: direction(2, space.dim)})
    store.apply([change], root=ROOT)
    located = store.located(f"{ROOT}1.jpg")
    assert located is not None and located.content_id == _id(store, 2)
    assert store.live_ids().tolist() == [_id(store, 2)]


def check_a_move_leaves_the_old_place(store: Store) -> None:
    add(store, 1)
    store.apply([AddLocation(digest(1), ImageRef(f"{ROOT}new.jpg"), gone=(f"{ROOT}1.jpg",))], root=ROOT)
    assert list(store.locations_below(ROOT)) == [f"{ROOT}new.jpg"]


def check_a_picture_without_a_place_is_not_found_but_kept(store: Store) -> None:
    space = add(store, 1, 2)
    store.drop_locations([f"{ROOT}1.jpg"])
    assert store.live_ids().tolist() == [_id(store, 2)]
    assert store.has_vectors(_id(store, 1), [space.id])
    assert store.counts()["pictures"] == 1


def check_what_is_removed_is_gone(store: Store) -> None:
    space = add(store, 1, 2)
    first = _id(store, 1)
    store.put_features([(first, b"abc")], version="v")
    assert store.remove([first]) > 0
    assert store.content_id(digest(1)) is None and store.vector(space, first) is None
    assert store.features([first], version="v") == {}
    assert store.counts()["pictures"] == 1


def check_vectors_come_back_in_the_order_of_their_ids(store: Store) -> None:
    space = add(store, 1, 2, 3)
    ids, vectors = store.vectors(space)
    assert ids.tolist() == sorted(_id(store, n) for n in (1, 2, 3))
    expected = {_id(store, n): direction(n, space.dim) for n in (1, 2, 3)}
    np.testing.assert_allclose(vectors, [expected[i] for i in ids.tolist()], atol=1e-3)
    assert store.vectors(space, after=int(ids[0]))[0].tolist() == ids[1:].tolist()
    one = store.vector(space, int(ids[1]))
    assert one is not None and np.array_equal(one, vectors[1])
    some, rows = store.vectors_of(space, [int(ids[2]), 12345, int(ids[0])])
    order = np.argsort(some)
    assert some[order].tolist() == [ids[0], ids[2]] and np.array_equal(rows[order], vectors[[0, 2]])


def check_pictures_that_lack_vectors_are_counted(store: Store) -> None:
    space = add(store, 1)
    ref = ImageRef(f"{ROOT}2.jpg", {}, 7, 8, 9)
    store.apply([AddContent(row(2), ref, {})], root=ROOT)
    assert (store.lacking([space.id]), store.embedded(space)) == (1, 1)
    assert store.places_lacking([space.id]) == [(ROOT, _id(store, 2), ref)]
    assert not store.has_vectors(_id(store, 2), [space.id])
    assert store.digests([space.id]).tolist() == [int.from_bytes(digest(1)[:8], "big")]
    add(store, 2)
    assert (store.lacking([space.id]), store.embedded(space)) == (0, 2)
    assert store.places_lacking([space.id]) == []
    assert store.digests([space.id]).tolist() == sorted(int.from_bytes(digest(n)[:8], "big") for n in (1, 2))


def check_spaces_are_made_once(store: Store) -> None:
    first = store.ensure_spaces(HistogramEmbedder.spec)
    assert store.ensure_spaces(HistogramEmbedder.spec) == first == store.spaces()
    assert store.space(first[0].name) == first[0]


def check_quarantine_counts_tries_and_ends_when_the_picture_is_indexed(store: Store) -> None:
    ref = ImageRef(f"{ROOT}5.jpg", {}, 1, 2, 3)
    for _ in range(2):
        store.apply([AddQuarantine(ref, "truncated", "why")], root=ROOT)
    found = store.quarantine()
    assert [(one.uri, one.reason, one.detail, one.tries) for one in found] == [(ref.uri, "truncated", "why", 2)]
    assert store.quarantined(ref.uri) == ((1, 2, 3), "truncated")
    assert store.quarantine(reason="other") == []
    assert [(root, one.uri) for root, one in store.quarantined_refs()] == [(ROOT, ref.uri)]
    add(store, 5)
    assert store.quarantine() == [] and store.quarantined(ref.uri) is None


def check_a_refused_file_is_no_picture_any_more(store: Store) -> None:
    add(store, 5)
    store.apply([AddQuarantine(ImageRef(f"{ROOT}5.jpg"), "truncated", "")], root=ROOT)
    assert store.located(f"{ROOT}5.jpg") is None and len(store.live_ids()) == 0


def check_every_commit_moves_the_epoch_on(store: Store) -> None:
    before = store.epoch()
    add(store, 1)
    between = store.epoch()
    store.set_labels(_id(store, 1), {"label": "cat"})
    assert before < between < store.epoch()


def check_labels_are_set_kept_and_taken_away(store: Store) -> None:
    add(store, 1, labels={"label": "cat", "year": 1999.0, "tags": ("x", "y")})
    store.edit_labels([_id(store, 1)], {"label": None, "year": 2001.5})
    assert store.labels_of(_id(store, 1)) == {"year": 2001.5, "tags": ("x", "y")}
    assert store.all_labels() == {_id(store, 1): {"year": 2001.5, "tags": ("x", "y")}}


def check_each_picture_gets_its_own_labels(store: Store) -> None:
    add(store, 1, 2, 3, labels={"label": "cat"})
    store.set_labels_of_each({_id(store, 1): {"told": "a", "sure": 0.5}, _id(store, 2): {"told": ("b", "c")}})
    assert store.all_labels() == {
        _id(store, 1): {"label": "cat", "told": "a", "sure": 0.5},
        _id(store, 2): {"label": "cat", "told": ("b", "c")},
        _id(store, 3): {"label": "cat"},
    }


def check_labels_are_counted(store: Store) -> None:
    add(store, 1, 2, labels={"label": "cat", "year": 1999.0})
    add(store, 3, labels={"label": "dog", "tags": ("x", "y")})
    assert store.label_counts() == {"label": {"cat": 2, "dog": 1}, "tags": {"x": 1, "y": 1}, "year": {"1999": 2}}
    assert store.label_counts(store.condition("label = 'dog'")) == {"label": {"dog": 1}, "tags": {"x": 1, "y": 1}}
    assert store.label_cross("label", "tags") == {("dog", "x"): 1, ("dog", "y"): 1}
    assert store.label_kinds() == {"label": ["single"], "tags": ["multi"], "year": ["number"]}


def check_conditions_pick_pictures(store: Store) -> None:
    add(store, 1, labels={"label": "cat", "year": 1999.0})
    add(store, 2, labels={"label": "dog"})
    condition = store.condition("label = 'cat' or width > 31")
    ids = [_id(store, 1), _id(store, 2)]
    assert store.live_ids(condition).tolist() == sorted(ids)
    assert store.meeting(ids, store.condition("year < 2000")) == {ids[0]}
    _raises(FilterError, lambda: store.condition("label = "))


def check_live_ids_are_given_in_pages(store: Store) -> None:
    add(store, *range(1, 8), labels={"label": "cat"})
    everything = store.live_ids().tolist()
    after = everything[2]
    assert store.live_ids(after=after).tolist() == everything[3:]
    assert store.live_ids(store.condition("label = 'cat'"), after=after, limit=2).tolist() == everything[3:5]
    assert store.live_ids(limit=0).tolist() == [] and store.live_ids(limit=99).tolist() == everything


def check_pictures_are_put_in_order(store: Store) -> None:
    names = {1: "img%20B.jpg", 2: "IMG a.jpg", 3: "Z.jpg"}
    for n, name in names.items():
        ref = ImageRef(f"{ROOT}{9 - n}/{name}", {"odd": str(n % 2)}, 1, 2, 3)
        store.apply([AddContent(row(n), ref, {}, added_at=100.0 - n)], root=ROOT)
    one, two, three = (_id(store, n) for n in names)
    store.put_facts({two: {"exif.date": ("2001-01-01",)}, three: {"exif.date": ("1999-01-01",)}})
    assert store.ordered_ids("size").tolist() == [one, two, three]
    assert store.ordered_ids("added").tolist() == [three, two, one]
    assert store.ordered_ids("name").tolist() == [two, one, three]  # without folder, whatever the case
    assert store.ordered_ids("taken").tolist() == [three, two, one]
    assert store.ordered_ids("taken", descending=True).tolist() == [two, three, one]  # what is not known comes last
    assert store.ordered_ids("size", store.condition("odd = '1'"), descending=True).tolist() == [three, one]
    _raises(UsageError, lambda: store.ordered_ids("beauty"))


def check_decisions_are_kept_by_content_and_can_be_undone(store: Store) -> None:
    store.put_decision("02" * 32, "01" * 32, "not_a_copy", note="two sunsets")
    found = [(one.a, one.b, one.decision, one.note) for one in store.decisions()]
    assert found == [("01" * 32, "02" * 32, "not_a_copy", "two sunsets")]
    assert store.drop_decision("01" * 32, "02" * 32) and not store.drop_decision("01" * 32, "02" * 32)
    assert store.decisions() == []
    _raises(UsageError, lambda: store.put_decision("02" * 32, "01" * 32, "perhaps"))
    _raises(UsageError, lambda: store.put_decision("02" * 32, "02" * 32, "not_a_copy"))


def check_fingerprints_and_features_come_back(store: Store) -> None:
    add(store, 1, 2)
    ids, codes, qualities = store.fingerprints()
    assert ids.tolist() == sorted(_id(store, n) for n in (1, 2))
    assert codes.shape == (2, 32) and set(codes[:, 0].tolist()) == {1, 2} and qualities.tolist() == [80, 80]
    store.put_features([(int(ids[0]), b"\0features")], version="v1")
    assert store.features(ids.tolist(), version="v1") == {int(ids[0]): b"\0features"}
    assert store.feature_ids(version="v1").tolist() == ids[:1].tolist()
    assert store.feature_ids(version="v2").tolist() == []


def check_features_come_along_with_their_picture(store: Store) -> None:
    features = [LocalFeatures("v1", b"\0features"), LocalFeatures("v2", b"\1features")]
    store.apply([AddContent(row(1), ImageRef(f"{ROOT}1.jpg"), {}, features=features)], root=ROOT)
    assert store.features([_id(store, 1)], version="v1") == {_id(store, 1): b"\0features"}
    assert store.features([_id(store, 1)], version="v2") == {_id(store, 1): b"\1features"}
    store.apply([AddContent(row(1), ImageRef(f"{ROOT}1.jpg"), {})], root=ROOT)
    assert store.feature_ids(version="v1").tolist() == [_id(store, 1)]


SEEN = (Region((0.1, 0.2, 0.3, 0.4), "cat", 0.75), Region((0.5, 0.5, 0.25, 0.5), None, 1.0))


def add_regions(store: Store, *numbers: int) -> Space:
    """Add made-up pictures with two regions each; return the space of the regions."""
    spec = HistogramEmbedder.spec
    whole, parts = store.ensure_spaces(spec)[0], store.ensure_spaces(spec, regions="objects", heads=spec.heads[:1])[0]
    changes = [
        AddContent(
            row(n),
            ImageRef(f"{ROOT}{n}.jpg"),
            {whole.id: direction(n, whole.dim)},
            {parts.id: AddRegions("objects", SEEN, np.stack([direction(n + by, parts.dim) for by in (1, 2)]))},
        )
        for n in numbers
    ]
    for _ in range(2):  # a retry doubles nothing
        store.apply(changes, root=ROOT)
    return parts


def check_regions_come_back_with_their_boxes_and_vectors(store: Store) -> None:
    parts = add_regions(store, 1, 2)
    first, second = _id(store, 1), _id(store, 2)
    rows, vectors = store.regions_of(parts, [second, first])
    assert [(each.content_id, each.region) for each in rows] == [(i, r) for i in (first, second) for r in SEEN]
    np.testing.assert_allclose(vectors, [direction(n, parts.dim) for n in (2, 3, 3, 4)], atol=1e-3)
    assert len({each.id for each in rows}) == 4 and store.has_vectors(first, [parts.id])
    assert store.regions(parts, [rows[1].id, rows[3].id, 12345]) == {rows[1].id: rows[1], rows[3].id: rows[3]}
    assert (store.counts()["pictures"], len(store.live_ids())) == (2, 2)


def check_regions_outlive_labels_and_go_with_their_picture(store: Store) -> None:
    parts = add_regions(store, 1, 2)
    first, second = _id(store, 1), _id(store, 2)
    store.edit_labels([first, second], {"mood": "calm"})
    assert len(store.regions_of(parts, [first, second])[0]) == 4
    other = AddRegions("objects", SEEN[:1], direction(9, parts.dim)[None])
    store.replace_regions([(second, parts, other)])
    rows, vectors = store.regions_of(parts, [second])
    assert [each.region for each in rows] == [SEEN[0]]
    np.testing.assert_allclose(vectors, direction(9, parts.dim)[None], atol=1e-3)
    store.remove([first])
    assert {each.content_id for each in store.regions_of(parts, [first, second])[0]} == {second}
    add(store, 1)
    assert store.regions_of(parts, [_id(store, 1)])[0] == [] and not store.has_vectors(_id(store, 1), [parts.id])


def check_places_that_are_gone_come_last_and_are_kept(store: Store) -> None:
    add(store, 1)
    store.apply([AddLocation(digest(1), ImageRef(f"{ROOT}later.jpg"))], root=ROOT)
    content_id, first, later = _id(store, 1), f"{ROOT}1.jpg", f"{ROOT}later.jpg"
    assert all(place.seen_at and place.gone_at is None for place in store.places_of(content_id))
    store.mark_gone([first, f"{ROOT}unknown.jpg"], at=20.5)
    store.mark_gone([first], at=30.5)  # gone since then, not since the last look
    assert [(place.uri, place.gone_at) for place in store.places_of(content_id)] == [(later, None), (first, 20.5)]
    assert store.pictures([content_id])[0].uris == (later, first) and store.counts()["locations"] == 2
    store.mark_seen([first], at=40.5)
    assert [(place.uri, place.gone_at) for place in store.places_of(content_id)] == [(first, None), (later, None)]
    assert store.places_of(content_id)[0].seen_at == 40.5
    store.mark_gone([first])
    add(store, 1)  # it is back
    assert store.pictures([content_id])[0].uris == (first, later)


def check_below_means_below_by_path(store: Store) -> None:
    add(store, 1)
    sub = f"{ROOT}sub/"
    store.apply([AddLocation(digest(1), ImageRef(f"{sub}1.jpg"))], root=sub)
    store.apply([AddLocation(digest(1), ImageRef(f"{ROOT}a.zip!/1.jpg"))], root=f"{ROOT}a.zip!/")
    assert list(store.locations_below(ROOT)) == [f"{ROOT}1.jpg", f"{sub}1.jpg"]
    assert list(store.locations_below(sub)) == [f"{sub}1.jpg"]
    assert list(store.locations_below(f"{ROOT}a.zip!/")) == [f"{ROOT}a.zip!/1.jpg"]
    store.mark_gone([f"{sub}1.jpg"])
    assert store.roots() == {ROOT: (1, 0), f"{ROOT}a.zip!/": (1, 0), sub: (1, 1)}
    assert store.located(f"{sub}1.jpg").gone and not store.located(f"{ROOT}1.jpg").gone  # type: ignore[union-attr]
    assert not store.pictures([_id(store, 1)])[0].gone
    store.mark_gone([f"{ROOT}1.jpg", f"{ROOT}a.zip!/1.jpg"])
    assert store.pictures([_id(store, 1)])[0].gone


def check_what_is_known_of_pixels_comes_back(store: Store) -> None:
    space = store.ensure_spaces(HistogramEmbedder.spec)[0]
    known = replace(row(1), frames=12, repaired="two bytes were missing")
    store.apply([AddContent(known, ImageRef(f"{ROOT}1.gif"), {space.id: direction(1, space.dim)})], root=ROOT)
    assert store.content(_id(store, 1)) == known


def check_digests_of_reduced_pixels_claim_nothing(store: Store) -> None:
    space = store.ensure_spaces(HistogramEmbedder.spec)[0]
    old = replace(row(1), pixels_version=1, frames=None)
    store.apply([AddContent(old, ImageRef(f"{ROOT}1.jpg"), {space.id: direction(1, space.dim)})], root=ROOT)
    assert store.same(None, old.pixels) == {}
    assert store.same(old.sha256, old.pixels) == {_id(store, 1): Verdict.IDENTICAL}


def check_deeds_are_written_to_the_log(store: Store) -> None:
    add(store, 1, 2, labels={"label": "cat"})  # what was added with a picture is no deed
    first, second = _id(store, 1), _id(store, 2)
    store.edit_labels([first, second], {"mood": "calm", "label": None})
    store.set_labels(first, {"mood": ("calm", "grey")})
    store.set_labels_of_each({second: {"year": 1999.0}})
    store.put_decision("02" * 32, "01" * 32, "not_a_copy")
    store.drop_decision("01" * 32, "02" * 32)
    store.drop_decision("01" * 32, "02" * 32)
    store.remove([first, 12345])
    said = [(one.deed, one.detail.get("pictures")) for one in reversed(store.log())]
    assert said == [("label", 2), ("label", 1), ("label", 1), ("decide", None), ("undecide", None), ("remove", 1)]
    removed = store.log(limit=1)[0].detail["removed"]
    assert [(each["id"], each["sha256"]) for each in removed] == [(first, digest(1).hex())]


def check_facts_are_kept_apart_from_labels(store: Store) -> None:
    add(store, 1, 2, labels={"tag": "mine"})
    first, second = _id(store, 1), _id(store, 2)
    store.put_facts({first: {"tag": ("cat", "dog"), "exif.f": (0.1,)}, second: {"tag": ("cat",)}})
    assert store.facts_of([first]) == {first: {"tag": ("cat", "dog"), "exif.f": (0.1,)}}
    store.put_facts({first: {"tag": ()}, second: {"tag": ("cow",)}})
    assert store.facts_of([first, second, 12345]) == {first: {"exif.f": (0.1,)}, second: {"tag": ("cow",)}}
    assert store.labels_of(first) == {"tag": "mine"}
    assert store.label_counts() == {"tag": {"mine": 2}}
    store.remove([first])
    assert store.facts_of([first]) == {}


def check_tags_are_counted_and_filtered_by(store: Store) -> None:
    space = store.ensure_spaces(HistogramEmbedder.spec)[0]
    for n, tags in ((1, ("cat", "dog")), (2, ("dog",)), (3, ())):
        vectors = {space.id: direction(n, space.dim)}
        labels = {"tag": "mine"} if n == 3 else {}
        ref = ImageRef(f"{ROOT}{n}.jpg", labels)
        store.apply([AddContent(row(n), ref, vectors, facts={"tag": tags, "tagger": ("x",)})], root=ROOT)
    one, two, three = (_id(store, n) for n in (1, 2, 3))
    assert store.fact_counts("tag") == {"dog": 2, "cat": 1}
    assert store.fact_counts("tag", store.condition("tag = 'cat'")) == {"cat": 1, "dog": 1}
    wanted = {
        "tag = 'dog'": {one, two},
        "tag in ('cat', 'mine')": {one, three},
        "tag ~ 'DO'": {one, two},
        "tag > 'cau'": {one, two, three},
        "tag": {one, two, three},
        "tag != 'dog'": {three},
        "not tag": set(),
        "'tag' = 'dog'": set(),
        "'tag'": {three},
        "tagger": set(),
        "tag = 5": set(),
    }
    for where, ids in wanted.items():
        assert set(store.live_ids(store.condition(where)).tolist()) == ids, where
    assert [record.facts.get("tag") for record in store.pictures([one, three])] == [("cat", "dog"), None]
    store.apply([AddContent(row(1), ImageRef(f"{ROOT}1.jpg"), {}, facts={"tag": ("cow",)})], root=ROOT)
    assert store.facts_of([one]) == {one: {"tag": ("cow",), "tagger": ("x",)}}


def check_verdicts_of_pairs_are_kept_by_judge(store: Store) -> None:
    pairs = [PairVerdict(digest(1), digest(n), "j1", "contains", n / 7, {"inliers": n}, 2.5) for n in range(2, 500)]
    store.put_pairs(pairs)
    keys = [(pair.a, pair.b) for pair in pairs] + [(digest(2), digest(3))]
    assert store.pairs(keys, judge="j1") == {(pair.a, pair.b): pair for pair in pairs}
    assert store.pairs(keys, judge="j2") == store.pairs([], judge="j1") == {}
    store.put_pairs([replace(pairs[0], verdict="similar", probability=None)])
    assert store.pairs(keys[:1], judge="j1")[keys[0]].verdict == "similar"
    _raises(UsageError, lambda: store.put_pairs([replace(pairs[0], a=digest(9), b=digest(3))]))


def check_the_log_is_read_from_its_end(store: Store) -> None:
    entries = [store.append_log("ann", f"deed {n}", {"n": n}) for n in range(3)]
    assert [each.id for each in store.log()] == [each.id for each in reversed(entries)]
    last = store.log(limit=1)
    assert [(each.actor, each.deed, each.detail) for each in last] == [("ann", "deed 2", {"n": 2})]
    assert [each.deed for each in store.log(before=last[0].id)] == ["deed 1", "deed 0"]


def check_jobs_are_kept_with_their_state(store: Store) -> None:
    store.put_job(Job("b", "report", "waiting", "ann", {"k": 3}, created_at=2.5, updated_at=2.5))
    store.put_job(Job("a", "report", "waiting"))
    kept = store.job("b")
    assert kept == Job("b", "report", "waiting", "ann", {"k": 3}, created_at=2.5, updated_at=2.5)
    store.put_job(replace(kept, state="done", result={"pairs": [1, 2]}, updated_at=9.5))
    assert [job.id for job in store.jobs()] == ["b", "a"] and [j.id for j in store.jobs(states=["waiting"])] == ["a"]
    done = store.job("b")
    assert done is not None and (done.state, done.result, done.updated_at) == ("done", {"pairs": [1, 2]}, 9.5)
    store.drop_jobs(["b", "never"])
    assert store.job("b") is None and [job.id for job in store.jobs()] == ["a"]


def check_what_is_derived_is_vouched_for_by_name(store: Store) -> None:
    first = Vouched("indexes/1-semantic/000001", "index", "ab" * 32, {"count": 3}, at=1.5)
    other = Vouched("indexes/copies/000001", "segment", "cd" * 32)
    store.vouch([first, other])
    assert store.vouched(below="indexes/1-semantic/") == {first.name: first}
    store.vouch([replace(first, digest="ef" * 32)], withdraw=[other.name])
    assert {name: one.digest for name, one in store.vouched().items()} == {first.name: "ef" * 32}


def check_changes_name_the_pictures_or_nothing_is_claimed(store: Store) -> None:
    add(store, 1, 2)
    first, second, before = _id(store, 1), _id(store, 2), store.epoch()
    store.append_log("ann", "looked")
    assert store.epoch() == before  # no answer depends on it
    store.set_labels(first, {"label": "cat"})
    add(store, 3)
    store.apply([AddLocation(digest(2), ImageRef(f"{ROOT}2b.jpg"), gone=(f"{ROOT}2.jpg",))], root=ROOT)
    add(store, 2)
    store.remove([first])
    found = store.changes(before)
    if found is None:  # a store may say so; then all is read anew
        return
    told = [(one.content_id, one.what) for one in found if one.what != "embedded"]
    steps = [(first, "labelled"), (_id(store, 3), "added"), (second, "placed"), (second, "placed")]
    assert told[:4] == steps and (first, "removed") in told[4:]
    assert {one.content_id for one in found if one.what == "embedded"} <= {first, second}
    assert [one.epoch for one in found] == sorted(one.epoch for one in found) and found[0].epoch == before + 1
    assert store.changes(store.epoch()) == []


def check_records_are_kept(store: Store) -> None:
    assert store.record("tuned/1") is None
    store.put_record("tuned/1", {"kind": "hnsw", "odd": [1, 2.5, None, {"a b": True}]})
    assert store.record("tuned/1") == {"kind": "hnsw", "odd": [1, 2.5, None, {"a b": True}]}


def check_records_that_change_at_once_lose_nothing(store: Store) -> None:
    def count(n: int) -> None:
        store.update_record("counted", lambda known: {**(known or {}), str(n): True})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(40)))
    assert store.record("counted") == {str(n): True for n in range(40)}


def check_ten_thousand_values_of_one_label(store: Store) -> None:
    space = store.ensure_spaces(HistogramEmbedder.spec)[0]
    values = tuple(f"value {n}" for n in range(10_000))
    ref = ImageRef(f"{ROOT}1.jpg", {"tags": values})
    store.apply([AddContent(row(1), ref, {space.id: direction(1, space.dim)})], root=ROOT)
    assert len(store.label_counts()["tags"]) == 10_000
    assert len(store.live_ids(store.condition("tags = 'value 9876'"))) == 1


def _raises(kind: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


CATALOGUE_CHECKS: tuple[Callable[[Store], None], ...] = tuple(
    value for name, value in sorted(globals().items()) if name.startswith("check_")
)
