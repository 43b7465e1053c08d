"""Where a library on Elasticsearch is: ``elasticsearch://host:9200,other:9200/name?kind=bbq_hnsw``."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from sosie.errors import UsageError
from sosie.registry import nearest

__all__ = ["KINDS", "SCHEMES", "Cluster", "folder_of", "read_url"]

SCHEMES = {"elasticsearch": "http", "elasticsearch+https": "https"}
KINDS = ("int8_hnsw", "hnsw", "int4_hnsw", "bbq_hnsw", "flat", "int8_flat", "bbq_flat")
_URL = re.compile(r"(elasticsearch(?:\+https)?):/+([^/?]*)(?:/([^/?]*))?/?(?:\?(.*))?")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_SECRETS = ("api_key", "password")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One library on one cluster, and how its pictures are indexed there.

    ``kind`` is the type of `dense_vector`; ``oversample`` times k neighbours are looked at again with full precision;
    ``candidates`` are looked at on each shard (None: ten times k, at least 100). ``shards``, ``replicas`` and ``kind``
    count when an index is made. ``patience`` is how long a question may wait for the cluster, in seconds.
    """

    hosts: tuple[str, ...]  # http://host:port
    name: str = "sosie"
    kind: str = "int8_hnsw"
    oversample: float = 3.0
    candidates: int | None = None
    shards: int = 1
    replicas: str = "0-1"  # so many as there are nodes for
    api_key: str | None = None
    username: str | None = None
    password: str | None = None
    ca_certs: str | None = None
    fingerprint: str | None = None  # SHA-256 of the cluster's certificate, in place of ca_certs
    patience: float = 20.0
    thumbnails: str | None = None  # an fsspec URL of a store that all servers read; None: each keeps its own

    def __post_init__(self) -> None:
        if not self.hosts:
            raise UsageError("which Elasticsearch? Write elasticsearch://host:9200/name")
        if odd := next((host for host in self.hosts if not re.match(r"https?://[^/@]+$", host)), None):
            raise UsageError(f"a host of Elasticsearch is http://name:port or https://name:port, not {odd!r}")
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"{self.name!r} cannot name a library there: a to z, 0 to 9, '_', '.' and '-'")
        if self.kind not in KINDS:
            raise UsageError(f"no kind of vector index there is called {self.kind!r}; {nearest(self.kind, KINDS)}")
        if not re.fullmatch(r"\d+|\d+-(\d+|all)", self.replicas):
            raise UsageError(f"replicas is a number, or a range like 0-1, not {self.replicas!r}")
        if self.shards < 1 or self.oversample < 1 or self.patience <= 0:
            raise UsageError("shards and oversample are at least 1, and patience is above 0")

    def __str__(self) -> str:
        first, *others = self.hosts
        scheme = "elasticsearch+https" if first.startswith("https") else "elasticsearch"
        bare = ",".join(host.split("://", 1)[1] for host in (first, *others))
        return f"{scheme}://{bare}/{self.name}"


def read_url(text: str) -> Cluster | None:
    """Return the cluster that ``text`` names, or None where it is no such address at all; raise UsageError.

    One slash will do, since a path keeps no more. Secrets come from the environment (SOSIE_ELASTICSEARCH__API_KEY,
    …__USERNAME, …__PASSWORD, …__CA_CERTS, …__FINGERPRINT) and are refused in an address, which ends up in logs. The
    place of thumbnails may come from there, too (…__THUMBNAILS).
    """
    match = _URL.fullmatch(text)
    if match is None:
        return None
    scheme, hosts, name, query = match.groups()
    if "@" in hosts:
        raise UsageError(
            "no password in an address: set SOSIE_ELASTICSEARCH__USERNAME and SOSIE_ELASTICSEARCH__PASSWORD"
        )
    given = dict(parse_qsl(query or "", keep_blank_values=True))
    if secret := next((key for key in _SECRETS if key in given), None):
        raise UsageError(f"no {secret} in an address: set SOSIE_ELASTICSEARCH__{secret.upper()}")
    options = {**_from_environment(), **_typed(given)}
    urls = tuple(f"{SCHEMES[scheme]}://{_with_port(host)}" for host in hosts.split(",") if host)
    return Cluster(**{"hosts": urls, **({"name": name} if name else {}), **options})


def folder_of(path: str | os.PathLike[str]) -> Path:
    """Return the folder that goes with a library on this machine.

    Of one on a cluster, that is a folder below the user's cache that holds nothing but what can be made again.
    """
    cluster = read_url(os.fspath(path))
    if cluster is None:
        return Path(path)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sosie" / f"{cluster.name}-{hashlib.sha256(str(cluster).encode()).hexdigest()[:12]}"


def _with_port(host: str) -> str:
    return host if re.search(r":\d+$", host) else f"{host}:9200"


def _from_environment() -> dict[str, Any]:
    names = ("api_key", "username", "password", "ca_certs", "fingerprint", "thumbnails")
    found = {name: os.environ.get(f"SOSIE_ELASTICSEARCH__{name.upper()}") for name in names}
    return {name: value for name, value in found.items() if value}


def _typed(given: dict[str, str]) -> dict[str, Any]:
    known = {field.name for field in fields(Cluster)} - {"hosts", "name", "username", *_SECRETS}
    typed: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise UsageError(f"unknown option {key!r} in the address; {nearest(key, known)}")
        try:
            typed[key] = _READ.get(key, str)(value)
        except ValueError as error:
            raise UsageError(f"{key} in the address is a number, not {value!r}") from error
    return typed


_READ: dict[str, Any] = {"oversample": float, "patience": float, "candidates": int, "shards": int}
