"""The index of a library on a cluster, which answers by itself: versions of it are built beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sosie.catalogue import Space, View
from sosie.elastic.vectors import check_search_params
from sosie.errors import UsageError
from sosie.indexes.manifest import Manifest
from sosie.indexes.measure import measure_as_it_is
from sosie.maintenance.indexes import Indexes, live_vectors, tuned_record

if TYPE_CHECKING:
    from sosie.catalogue.elastic import ElasticCatalogue
    from sosie.catalogue.elastic.versions import Version

__all__ = ["ClusterIndexes"]


class ClusterIndexes(Indexes):
    """Builds versions of a cluster's index, each measured, and swapped without a gap."""

    def __init__(self, catalogue: ElasticCatalogue, *, space: Space, view: Callable[[Space], View]) -> None:
        super().__init__(catalogue, space=space, view=view)
        self._cluster = catalogue

    def build(
        self,
        kind: str = "auto",
        params: Mapping[str, Any] | None = None,
        *,
        recall: float = 0.95,
        space: Space | None = None,
    ) -> Manifest:
        """Build and measure a version; ``auto`` takes what was tuned, else the kind there is."""
        if space is not None and space.id != self._space.id:
            raise UsageError("a cluster indexes parts by itself, along with whole pictures: leave out --space")
        own, view = self._space, self._view(self._space)
        check_search_params(params or {})
        tuned = self._cluster.record(tuned_record(own)) if kind == "auto" else None
        search, k = dict(params or {}), 10
        if tuned:
            kind, k = tuned["winner"]["params"]["vectors"], tuned["target"]["k"]
            search = {name: value for name, value in tuned["winner"]["params"].items() if name != "vectors"} | search
        kept = {own.id: {"candidates": 10 * k, "k": k, **search}} if search else None
        built = self._cluster.rebuild(view.description["kind"] if kind == "auto" else kind, search=kept)
        measured, covers = self._measure(view)
        return Manifest(
            kind=built.kind,
            params=search,
            generation=str(built.number),
            spec_hash=own.spec_hash,
            dim=own.dim,
            count=built.pictures,
            covers=covers,
            files={},
            measured=measured,
        )

    def _measure(self, view: View) -> tuple[dict[str, Any], int]:
        """Return the recall that a new version has, and the highest id that it covers."""
        view.forget()
        ids, vectors = live_vectors(self._cluster, self._space)
        measured = measure_as_it_is(view.search, ids, vectors) if len(ids) > 1 else {}
        if measured:
            self._cluster.put_recall(self._space.id, measured["recall"])
        view.forget()
        return measured, int(ids[-1]) if len(ids) else 0

    def trials(self, kinds: Sequence[str] | None) -> Mapping[str, Any]:
        """Return what the tuner tries: types of vectors of the cluster, each as an index of its own."""
        from sosie.indexes.elasticsearch import ElasticIndex

        connection = self._cluster.connection
        return {
            "kinds": ["elasticsearch"],
            "builds": [(ElasticIndex.kind, {"vectors": each}) for each in kinds or ElasticIndex.build_space["vectors"]],
            "make": lambda _, params: ElasticIndex(**params, connection=connection),
        }

    def keep_regions(self) -> None:
        """Do nothing: a cluster indexes regions along with their pictures."""

    @property
    def manifest(self) -> Manifest | None:
        """None: what answers is described by the view."""
        return None

    def drop(self, space: Space | None = None) -> None:
        """Raise UsageError: a cluster always answers from a version of its index."""
        raise UsageError("a cluster always answers from a version of its index: drop another one, by --version")

    # -------------------------------------------------------------------------------------------- versions

    def versions(self) -> list[Version]:
        """Return the versions that the cluster keeps."""
        return self._cluster.versions()

    def use_version(self, number: int) -> Version:
        """Let an older version answer again; no search fails meanwhile."""
        return self._cluster.use(number)

    def drop_version(self, number: int) -> None:
        """Remove a version that does not answer."""
        self._cluster.drop(number)
