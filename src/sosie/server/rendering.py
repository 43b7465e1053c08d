"""Turn a template and its values into a page."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

import sosie
from sosie.present.text import visible
from sosie.present.verdicts import percent
from sosie.server.i18n import LANGUAGES, UNITS, choose_language, local_number, words
from sosie.server.problems import Problem
from sosie.server.views import address

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context

__all__ = ["error_page", "render"]

LANG_COOKIE = "sosie_lang"
_SCRIPT_WORDS = (
    "verdict.",
    "fact.",
    "done.",
    "yes",
    "card.sure",
    "card.why",
    "compare.registered",
    "compare.unregistered",
    "js.",
    "add.state.",
    "add.done",
    "jobs.",
    "left_out",
    "results.shared",
    "results.of",
    "browse.most",
    "browse.picked.",
    "browse.labelled.",
    "browse.removed.",
    "browse.remove.",
    "browse.title",
    "box.",
    "duplicates.state.",
    "duplicates.undo",
    "duplicates.one_stays",
    "duplicates.tally",
    "duplicates.folder.needed",
    "duplicates.plan.empty",
    "duplicates.plan.refused",
    "duplicates.sure.",
    "duplicates.applied",
    "duplicates.restored",
    "map.",
    "camera.",
)


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """Return a page in the reader's language; only its main part where a script asks for that."""
    asked = request.query_params.get("lang")
    lang = choose_language(asked, request.cookies.get(LANG_COOKIE), request.headers.get("accept-language", ""))
    t = words(lang)
    html = (
        _environment()
        .get_template(template)
        .render(
            t=t,
            lang=lang,
            languages=LANGUAGES,
            layout="fragment.html" if request.headers.get("x-fragment") else "base.html",
            path=request.url.path,
            here=request.url,
            version=sosie.__version__,
            script_words={key: text for prefix in _SCRIPT_WORDS for key, text in t.some(prefix).items()},
            **context,
        )
    )
    response = Response(html, status, media_type="text/html")
    # A fragment must never be shown in place of its page, nor a page that a filter or a deletion made stale.
    response.headers.update({"Cache-Control": "no-store", "Vary": "X-Fragment, Accept-Language, Cookie"})
    if asked == lang:
        response.set_cookie(LANG_COOKIE, lang, max_age=365 * 86400, samesite="lax", httponly=True)
    return response


def error_page(request: Request, problem: Problem) -> Response:
    """Return a failure as a page; a missing key leads to where one is asked for."""
    if problem.status_code == 401 and not request.headers.get("x-fragment"):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(address("/login", next=target), 303)
    response = render(
        request,
        "error.html",
        status=problem.status_code,
        detail=visible(str(problem.detail)),
        code=problem.code,
        reason=problem.more.get("reason"),
        asked=[pair for pair in request.query_params.multi_items() if pair[0] not in ("where", "f", "cursor")],
        where=request.query_params.get("where", ""),
        counts={},
        session=False,
    )
    response.headers.update(problem.headers or {})
    return response


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context, select_autoescape

    environment = Environment(
        loader=PackageLoader("sosie.server"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=pass_context(_percent),
        number=pass_context(_number),
        decimal=pass_context(_decimal),
        size=pass_context(_size),
        when=_when,
        visible=lambda v: visible(str(v)),
    )
    environment.globals.update(address=address)
    return environment


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _percent(context: Context, share: float) -> str:
    return local_number(percent(share), context["lang"])


def _number(context: Context, count: int) -> str:
    return local_number(f"{count:,}", context["lang"])


def _decimal(context: Context, value: float, digits: int = 2) -> str:
    return local_number(f"{value:.{digits}f}", context["lang"])


def _size(context: Context, count: int) -> str:
    names = UNITS[context["lang"]]
    value = float(count)
    for unit in names[:-1]:
        if value < 1000:
            digits = 0 if unit == names[0] or value >= 100 else 1
            return local_number(f"{value:.{digits}f} {unit}", context["lang"])
        value /= 1000
    return local_number(f"{value:.1f} {names[-1]}", context["lang"])
