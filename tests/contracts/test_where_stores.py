"""``--where`` means the same on every store: hundreds of random expressions find the same pictures."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator

import pytest

from sosie.catalogue import AddContent, Catalogue, ContentRow, Store
from sosie.catalogue.elastic import ElasticCatalogue
from sosie.elastic import read_url
from sosie.errors import FilterError
from sosie.types import ImageRef, LabelValue
from tests.services.elastic import Cluster

NAMES = ("label", "year", "tags", "a.b", "Grüße", "la")  # ``la`` begins ``label``
TEXTS = ("cat", "Cat", "dog", "", "a*b?c\\d", "ÄÖ ü", "zebra\x01", "~", "猫", "100")
OPS = ("=", "!=", "<", "<=", ">", ">=")
FACTS: dict[str, tuple[str | float, ...]] = {
    "exif.date": ("2019-07-21T10:00:00", "2019-07-21", "2019", "2019-08-01T00:00", "1999-12-31T23:59:59"),
    "exif.camera": ("Make One", "make two"),
    "exif.latitude": (-33.5, 0.0, 48.25),
}
NUMBERS = (0, -0.0, 1, -1.5, 1999, 2019.25, 1e300, -1e300, 5e-324, 31)


def value(rng: random.Random) -> LabelValue:
    if rng.random() < 0.4:
        return float(rng.choice(NUMBERS))
    texts = tuple(sorted(rng.sample(TEXTS, rng.randint(1, 4))))
    return texts[0] if len(texts) == 1 or rng.random() < 0.5 else texts


def pictures(rng: random.Random, count: int) -> list[AddContent]:
    made = []
    for n in range(count):
        labels = {name: value(rng) for name in NAMES if rng.random() < 0.6}
        facts = {name: (rng.choice(of),) for name, of in FACTS.items() if rng.random() < 0.7}
        kind = rng.choice(("JPEG", "PNG", "WebP"))
        row = ContentRow(rng.randbytes(32), rng.choice((1999, 10, 10**12)), kind, n % 40, 20, bytes(16))
        made.append(
            AddContent(row, ImageRef(f"file:///{rng.choice(('Ä', 'b', 'C'))}/{n}.jpg", labels), {}, facts=facts)
        )
    return made


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def term(rng: random.Random) -> str:
    if rng.random() < 0.3:
        number = f"{rng.choice(('width', 'bytes'))} {rng.choice(OPS)} {rng.choice(NUMBERS)}"
        text = f"{rng.choice(('format', 'uri'))} {rng.choice(('=', '!=', '~', '<', '>='))} {quoted(rng.choice(TEXTS))}"
        known = rng.choice(("format = 'jpeg'", "uri ~ '/c/1'", "format in ('png', 'x')", "width in (3, 4.5, 9)"))
        dates = (
            f"added {rng.choice(['=', '<', '<=', '>', '>=', '!='])} '{rng.choice(('2026', '2001-01', '2999-12-31'))}'"
        )
        return rng.choice((number, text, known, dates, "added ~ '-t'", "added ~ 'z'"))
    if rng.random() < 0.2:
        date = rng.choice(("2019", "2019-07", "2019-07-21", "2019-07-21T10:00", "2020"))
        at = rng.choice((f"{rng.choice(OPS)} '{date}'", f"in ('{date}', '1999-12')", "~ '07'", "has '2019-08-01'"))
        where = f"exif.latitude {rng.choice(OPS)} {rng.choice((-34, 0, 48.25))}"
        return rng.choice((f"exif.date {at}", where, "exif.camera ~ 'MAKE'", "exif.camera", "exif.date"))
    name = quoted(rng.choice((*NAMES, "absent")))
    one = rng.choice((quoted(rng.choice(TEXTS)), str(rng.choice(NUMBERS))))
    other = rng.choice((quoted(rng.choice(TEXTS)), str(rng.choice(NUMBERS))))
    return rng.choice(
        (
            name,
            f"{name} {rng.choice(OPS)} {one}",
            f"{name} ~ {quoted(rng.choice((*TEXTS, 'A', '*', 'o')))}",
            f"{name} has {quoted(rng.choice(TEXTS))}",
            f"{name} {rng.choice(('in', 'not in'))} ({one}, {other})",
        )
    )


def expression(rng: random.Random, depth: int = 3) -> str:
    if depth == 0 or rng.random() < 0.3:
        return term(rng)
    parts = [expression(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    joined = f" {rng.choice(('and', 'or'))} ".join(f"({part})" for part in parts)
    return f"not ({joined})" if rng.random() < 0.3 else joined


@pytest.fixture(scope="module")
def stores(elasticsearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    cluster = read_url(elasticsearch.address(f"where-{uuid.uuid4().hex}"))
    assert cluster is not None
    both = Catalogue(tmp_path_factory.mktemp("where") / "catalogue.sqlite"), ElasticCatalogue(cluster)
    for store in both:
        store.apply(pictures(random.Random(1), 200), root="file:///")
        store.drop_locations(["file:///b/7.jpg"])
    yield both
    both[1].destroy()
    for store in both:
        store.close()


def found(store: Store, where: str) -> list[str]:
    return sorted(record.sha256 for record in store.pictures(store.live_ids(store.condition(where)).tolist()))


@pytest.mark.parametrize("seed", range(6))
def test_random_expressions_find_the_same(stores: tuple[Store, Store], seed: int) -> None:
    rng = random.Random(seed)
    counts = []
    for _ in range(80):
        where = expression(rng)
        on_sqlite, on_cluster = (found(store, where) for store in stores)
        assert on_cluster == on_sqlite, where
        counts.append(len(on_sqlite))
    assert len(set(counts)) > 20  # neither all nor nothing


def test_nesting_beyond_what_the_cluster_takes_is_refused(stores: tuple[Store, Store]) -> None:
    deep = "label = 'x'"
    for _ in range(11):
        deep = f"(year or tags and {deep})"
    stores[1].live_ids(stores[1].condition(deep))  # as deep as it may be
    with pytest.raises(FilterError, match="too deep for Elasticsearch"):
        stores[1].condition(f"(year or tags and (year or tags and {deep}))")


def test_a_part_too_long_to_look_for_is_refused(stores: tuple[Store, Store]) -> None:
    with pytest.raises(FilterError, match="1000"):
        stores[1].condition(f"label ~ '{'x' * 1001}'")
