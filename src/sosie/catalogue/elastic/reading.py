"""Reading pictures from Elasticsearch."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.catalogue.elastic.base import Base
from sosie.catalogue.elastic.documents import (
    NUL,
    content_of,
    facts_of,
    ids_of,
    labels_of,
    place_key,
    places_in,
    record_of,
    refusal_of,
    stack,
)
from sosie.catalogue.elastic.labels import most_first
from sosie.catalogue.elastic.mapping import vector_field
from sosie.catalogue.elastic.query import LIVE, Query, compile_query, live_and
from sosie.catalogue.orders import OrderKey, arrange, check_order, name_key
from sosie.catalogue.records import ContentRow, FactValues, KnownPlace, Located, PictureRecord, Place, Space, is_below
from sosie.errors import UnknownName
from sosie.types import EXACT_PIXELS, TAKEN, FloatMatrix, Ids, ImageRef, Verdict

__all__ = ["Reading"]


_MOST = 5000  # pictures of one question for ids


class Reading(Base):
    """Reads pictures, by id, place, bytes, or condition."""

    def condition(self, where: str | None) -> Query | None:
        """Compile a ``--where`` expression to a query, None where there is none; raise FilterError."""
        from sosie.catalogue.where import parse

        return compile_query(parse(where)) if where else None

    # -------------------------------------------------------------------------------------------- by place

    def look_up(self, uris: Sequence[str]) -> dict[str, KnownPlace]:
        """Return what is known of each of some places; of two pictures at one (a commit broke), neither."""
        keys = {uri: place_key(uri) for uri in uris}
        refused = self.get_many(self.names.quarantine, keys.values())
        known = {
            uri: KnownPlace(refused=refusal_of(refused[key]["_source"])) if key in refused else KnownPlace()
            for uri, key in keys.items()
        }
        twice: set[str] = set()
        for hit in self.by_terms(self.names.pictures, "places.uri", uris):
            labels = labels_of(hit["_source"])
            for uri, located in places_in(hit["_source"]):
                if uri in known and uri not in twice:
                    again = known[uri].located is not None
                    known[uri] = KnownPlace() if again else KnownPlace(located, labels=labels)
                    twice |= {uri} if again else set()
        return known

    def located(self, uri: str) -> Located | None:
        """Return what is stored of a place."""
        return self.look_up([uri])[uri].located

    def quarantined(self, uri: str) -> tuple[tuple[int | None, int | None, int | None], str] | None:
        """Return the stamp and the reason of a quarantined place."""
        found = self.get(self.names.quarantine, place_key(uri))
        return None if found is None else refusal_of(found["_source"])

    def uris(self, content_id: int) -> list[tuple[str, str]]:
        """Return (uri, root) of every place of a picture."""
        source = self._source(content_id) or {"places": []}
        return [(place["uri"], place["root"]) for place in source["places"]]

    def places_of(self, content_id: int) -> list[Place]:
        """Return every place of a picture, those where it is not gone first."""
        source = self._source(content_id) or {"places": []}
        return [Place(at["uri"], at["root"], at.get("seen_at"), at.get("gone_at")) for at in source["places"]]

    def locations_below(self, root: str) -> Iterable[str]:
        """Return the URIs below a source's root by path, whatever source they came by, in order."""
        either: list[dict[str, Any]] = [{"term": {"places.root": root}}]
        if root.endswith("/"):
            either.append({"prefix": {"places.uri": root}})
        places = self._places({"bool": {"should": either}})
        by_path = root.endswith("/")
        return sorted(at["uri"] for at in places if at["root"] == root or (by_path and is_below(at["uri"], root)))

    def roots(self) -> dict[str, tuple[int, int]]:
        """Return how many places were found by each root, and how many of those are gone."""
        all_of, gone = Counter[str](), Counter[str]()
        for at in self._places({"match_all": {}}):
            all_of[at["root"]] += 1
            gone[at["root"]] += at.get("gone_at") is not None
        return {root: (all_of[root], gone[root]) for root in sorted(all_of)}

    def _places(self, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        hits = self.connection.scan(self.names.pictures, key="id", query=query, source_includes=["places"])
        return (place for hit in hits for place in hit["_source"]["places"])

    # -------------------------------------------------------------------------------------------- by content

    def content_id(self, sha256: bytes) -> int | None:
        """Return the id of the picture with these bytes."""
        return self.content_ids([sha256]).get(sha256)

    def content_ids(self, shas: Sequence[bytes]) -> dict[bytes, int]:
        """Return the ids of those of a few pictures, given by their bytes' SHA-256, that are known."""
        keys = (str(i) for sha256 in shas for i in ids_of(sha256))
        found = self.get_many(self.names.pictures, keys, only=["id", "sha256"]).values()
        ids = {bytes.fromhex(hit["_source"]["sha256"]): int(hit["_source"]["id"]) for hit in found}
        return {sha256: ids[sha256] for sha256 in shas if sha256 in ids}

    def same(self, sha256: bytes | None, pixels: bytes | None) -> dict[int, Verdict]:
        """Return the live pictures with these bytes, IDENTICAL and first, or with these exact pixels, SAME_PIXELS.

        None is no picture's; digests of an older version are of reduced pixels, and say nothing.
        """
        keys = [] if sha256 is None else [str(i) for i in ids_of(sha256)]
        named = self.get_many(self.names.pictures, keys, only=["id", "sha256", "live"]).values()
        identical = [hit["_source"] for hit in named if sha256 is not None and hit["_source"]["sha256"] == sha256.hex()]
        alike = [] if pixels is None else self.by_terms(self.names.pictures, "pixels", [pixels.hex()])
        found = {int(source["id"]): Verdict.IDENTICAL for source in identical if source["live"]}
        exact = [hit["_source"] for hit in alike if hit["_source"].get("pixels_version") == EXACT_PIXELS]
        for content_id in sorted(int(source["id"]) for source in exact if source["live"]):
            found.setdefault(content_id, Verdict.SAME_PIXELS)
        return found

    def content(self, content_id: int) -> ContentRow:
        """Return one picture's row; raise UnknownName."""
        source = self._source(content_id)
        if source is None:
            raise UnknownName(f"the library has no picture {content_id}")
        return content_of(source)

    def contents(self, ids: Sequence[int]) -> dict[int, ContentRow]:
        """Return the rows of a few pictures; raise UnknownName."""
        found = self.get_many(self.names.pictures, map(str, ids))
        if missing := [i for i in ids if str(i) not in found]:
            raise UnknownName(f"the library has no picture {missing[0]}")
        return {i: content_of(found[str(i)]["_source"]) for i in ids}

    def pictures(self, ids: Sequence[int]) -> list[PictureRecord]:
        """Return the records of these pictures, in the order asked; ids that are not there are left out."""
        found = self.get_many(self.names.pictures, map(str, dict.fromkeys(ids)))
        return [record_of(found[str(i)]["_source"]) for i in ids if str(i) in found]

    def fact_counts(self, name: str, condition: Query | None = None) -> dict[str, int]:
        """Return how many live pictures have each text of a fact, most frequent first."""
        within = live_and({"bool": {"filter": [{"term": {"fact_names": name}}, *([condition] if condition else [])]}})
        keys = ((key.partition(NUL), count) for key, count in self.buckets("fact_texts", within))
        return most_first(Counter({text: count for (found, _, text), count in keys if found == name}))

    def facts_of(self, ids: Sequence[int]) -> dict[int, dict[str, FactValues]]:
        """Return the facts of some pictures, of those that have any."""
        found = self.get_many(self.names.pictures, map(str, ids), only=["facts"])
        facts = {int(key): facts_of(hit["_source"]) for key, hit in found.items()}
        return {content_id: facts[content_id] for content_id in ids if facts.get(content_id)}

    def _source(self, content_id: int) -> Mapping[str, Any] | None:
        found = self.get(self.names.pictures, str(content_id))
        return None if found is None else found["_source"]

    # -------------------------------------------------------------------------------------------- vectors

    def has_vectors(self, content_id: int, spaces: Iterable[int]) -> bool:
        """Tell whether a picture is embedded in all of these spaces."""
        source = self._source(content_id) or {"spaces": []}
        return set(spaces) <= set(source["spaces"])

    def lacking(self, spaces: Sequence[int]) -> int:
        """Return how many pictures are not embedded in all of these spaces."""
        embedded = {"bool": {"filter": [{"term": {"spaces": space}} for space in spaces]}}
        return self.count(self.names.pictures, {"bool": {"must_not": [embedded]}})

    def places_lacking(self, spaces: Sequence[int]) -> list[tuple[str, int, ImageRef]]:
        """Return (root, id, one place with its stamp) of live pictures that are not embedded in all of these spaces."""
        embedded = {"bool": {"filter": [{"term": {"spaces": space}} for space in spaces]}}
        query = {"bool": {"filter": [LIVE], "must_not": [embedded]}}
        hits = self.connection.scan(self.names.pictures, key="id", query=query, source_includes=["id", "places"])
        return [
            (one["root"], hit["_source"]["id"], ImageRef(one["uri"], {}, one["size"], one["mtime_ns"], one["inode"]))
            for hit in hits
            for one in hit["_source"]["places"][:1]
        ]

    def embedded(self, space: Space) -> int:
        """Return how many whole pictures have a vector in a space."""
        return self.count(self.names.pictures, {"term": {"spaces": space.id}})

    def digests(self, spaces: Sequence[int]) -> npt.NDArray[np.uint64]:
        """Return, sorted, the first eight bytes (n,) of the SHA-256 of pictures that are embedded in all these spaces.

        They are read as big-endian numbers. Pictures are told apart by them in a set; what they say has to be checked.
        """
        query = {"bool": {"filter": [{"term": {"spaces": space}} for space in spaces]}}
        hits = self.connection.scan(self.names.pictures, key="id", query=query, source_includes=["sha256"])
        return np.sort(np.fromiter((int(hit["_source"]["sha256"][:16], 16) for hit in hits), np.uint64))

    def vectors(self, space: Space, *, after: int = 0) -> tuple[Ids, FloatMatrix]:
        """Return ids (n,) and vectors (n, dim) of whole pictures with an id above ``after``, in order of id."""
        field = vector_field(space.id)
        query = {"bool": {"filter": [{"term": {"spaces": space.id}}, {"range": {"id": {"gt": after}}}]}}
        return self._vectors(field, query, space.dim)

    def _vectors(self, field: str, query: Query, dim: int) -> tuple[Ids, FloatMatrix]:
        hits = list(
            self.connection.scan(
                self.names.pictures, key="id", query=query, source_includes=[field], source_exclude_vectors=False
            )
        )
        ids = np.fromiter((hit["sort"][0] for hit in hits), np.int64, len(hits))
        return ids, stack((hit["_source"][field] for hit in hits), dim)

    def vectors_of(self, space: Space, ids: Sequence[int]) -> tuple[Ids, FloatMatrix]:
        """Return ids (n,) and vectors (n, dim) of those of a few whole pictures that have one."""
        field = vector_field(space.id)
        among = [{"term": {"spaces": space.id}}, {"ids": {"values": [str(i) for i in ids]}}]
        return self._vectors(field, {"bool": {"filter": among}}, space.dim)

    def vector(self, space: Space, content_id: int) -> FloatMatrix | None:
        """Return the vector (dim,) of one whole picture, or None."""
        _, found = self.vectors_of(space, [content_id])
        return found[0] if len(found) else None

    # -------------------------------------------------------------------------------------------- many

    def live_ids(self, condition: Query | None = None, *, after: int = -1, limit: int | None = None) -> Ids:
        """Return the sorted ids of pictures that have a place, and meet a condition.

        Those above ``after``, and at most ``limit``: no more is read.
        """
        above = {"range": {"id": {"gt": after}}}
        query = live_and(condition) if after < 0 else {"bool": {"filter": [above, live_and(condition)]}}
        page = {} if limit is None else {"page": min(limit, _MOST)}
        hits = self.connection.scan(self.names.pictures, key="id", query=query, source=False, **page)
        found = [hit["sort"][0] for hit in itertools.islice(hits, limit)]
        return np.fromiter(found, np.int64, len(found))

    def ordered_ids(self, by: str, condition: Query | None = None, *, descending: bool = False) -> Ids:
        """Return the ids of live pictures that meet a condition, in an order of ``ORDERS``; raise UsageError."""
        check_order(by)
        fields = {"added": ["added_at"], "size": ["bytes"], "name": ["places"], "taken": ["facts"]}[by]
        query = live_and(condition)
        hits = self.connection.scan(self.names.pictures, key="id", query=query, source_includes=fields)
        return arrange(((_order_key(by, hit["_source"]), hit["sort"][0]) for hit in hits), descending=descending)

    def meeting(self, ids: Sequence[int], condition: Query | None = None) -> set[int]:
        """Return those of a few pictures that are live and meet a condition."""
        among = {"ids": {"values": [str(i) for i in ids]}}
        query = {"bool": {"filter": [among, live_and(condition)]}}
        return {
            hit["sort"][0] for hit in self.connection.scan(self.names.pictures, key="id", query=query, source=False)
        }

    def counts(self) -> dict[str, int]:
        """Return how many pictures, locations and quarantined files there are, and the pictures' bytes."""
        answer = self.connection.wait_out(
            lambda client: client.search(
                index=self.names.pictures,
                query=LIVE,
                size=0,
                track_total_hits=True,
                aggs={"bytes": {"sum": {"field": "bytes"}}, "places": {"value_count": {"field": "places.uri"}}},
                allow_partial_search_results=False,
            )
        )
        return {
            "pictures": answer["hits"]["total"]["value"],
            "locations": answer["aggregations"]["places"]["value"],
            "quarantined": self.count(self.names.quarantine, {"match_all": {}}),
            "bytes": int(answer["aggregations"]["bytes"]["value"]),
        }


def _order_key(by: str, source: Mapping[str, Any]) -> OrderKey:
    if by == "name":
        return name_key(source["places"][0]["uri"])
    if by == "taken":
        return min((str(value) for value in facts_of(source).get(TAKEN, ())), default=None)
    return float(source["added_at"] if by == "added" else source["bytes"])
