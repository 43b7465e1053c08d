"""The evaluation reports: a list of them, and each as the file that `sosie evaluate` wrote."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from sosie.present.page import content_policy
from sosie.server.config import Guard
from sosie.server.reports import list_reports, read_report
from sosie.server.routes.pages import render_page, visit

router = APIRouter(include_in_schema=False)

# A report is a file from a folder that anybody may have written to. In the sandbox it is of no origin: it reaches
# neither this server nor what the browser keeps for it, and no script runs but the one that reports are made with.
_POLICY = f"sandbox allow-scripts; {content_policy()}; frame-ancestors 'none'"


@router.get("/reports")
async def reports(request: Request) -> Response:
    """List the reports."""
    state = visit(request)
    folder = state.settings.runs
    found = await state.light.run(lambda: list_reports(folder))
    return await render_page(request, "reports.html", reports=found)


@router.get("/reports/{name:path}")
async def report(request: Request, name: Annotated[str, Path(max_length=600)]) -> Response:
    """Show one report."""
    state = visit(request)
    inside = Guard.REPORTS in state.settings.guards
    html = await state.light.run(lambda: read_report(state.settings.runs, name, inside=inside))
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return Response(html, media_type="text/html", headers=headers)
