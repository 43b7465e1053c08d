"""The files that could not become pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Response

from sosie.server.answers import json_response
from sosie.server.auth import Reader
from sosie.server.problems import responses
from sosie.server.schemas import QuarantineOut

router = APIRouter(prefix="/api/v1", tags=["quarantine"], responses=responses())


@router.get("/quarantine", response_model=QuarantineOut)
async def quarantine(state: Reader, reason: Annotated[str | None, Query(max_length=100)] = None) -> Response:
    """List what was refused and why, latest first; a job of kind `retry` tries again."""
    rows = await state.light.run(state.library.quarantine)
    chosen = [row for row in rows if reason in (None, row.reason)]
    reasons = Counter(row.reason for row in rows)
    files = [asdict(row) for row in chosen[:1000]]
    return json_response({"total": len(chosen), "reasons": dict(reasons.most_common()), "files": files})
