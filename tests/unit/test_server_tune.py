"""Tuning an index over the API: a job whose answer is the table, and whose winner answers from then on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import sosie
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered
from tests.serving import running

API = "/api/v1"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[httpx.Client]:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        fill_with_vectors(library, clustered(600, 320))
        with running(library) as address, httpx.Client(base_url=address, timeout=120) as client:
            yield client


def ended(web: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """Start a job, follow its events to the end, and return it."""
    job = web.post(f"{API}/jobs", json=body)
    assert job.status_code == 202, job.text
    place = f"{API}/jobs/{job.json()['id']}"
    with web.stream("GET", f"{place}/events") as stream:
        for _ in stream.iter_lines():
            pass
    found: dict[str, Any] = web.get(place).json()
    return found


def test_the_winner_is_built_and_answers(web: httpx.Client) -> None:
    job = ended(web, {"kind": "tune", "recall": 0.9, "kinds": ["hnsw"]})
    assert job["state"] == "done", job["error"]
    assert job["result"]["winner"]["kind"] == "hnsw"
    assert job["result"]["built"]["recall"] >= 0.9
    assert {trial["kind"] for trial in job["result"]["trials"]} == {"hnsw"}
    assert web.get(f"{API}/search", params={"id": 1}).json()["index"]["kind"] == "hnsw"


def test_an_unknown_kind_is_the_jobs_error(web: httpx.Client) -> None:
    job = ended(web, {"kind": "tune", "kinds": ["hnws"]})
    assert (job["state"], job["error"]["code"]) == ("failed", "unknown_name")
    assert "hnsw" in job["error"]["detail"]


@pytest.mark.parametrize("wrong", [{"recall": 0}, {"recall": 1.5}, {"k": 0}, {"kinds": []}, {"what": 1}])
def test_wrong_values_are_refused_at_once(web: httpx.Client, wrong: dict[str, Any]) -> None:
    assert web.post(f"{API}/jobs", json={"kind": "tune", **wrong}).status_code == 422
