"""Write docs/reference/api.md from the OpenAPI document of the server.

    python docs/make_api_reference.py

A test fails where the file is not what this writes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import sosie
from sosie.server.app import create_app
from sosie.server.reference import Operation, operations

HEADER = """# The REST API

<!-- written by docs/make_api_reference.py; edit the routes, not this page -->

`sosie serve` answers at `http://localhost:6868/api/v1`; the OpenAPI document is at
`/api/v1/openapi.json`, the same list as a page at `/api`. In a library with [keys](../how-to/serve.md#keys) every call
needs one: add `-H "Authorization: Bearer $KEY"`.

A hit is what `sosie search --json` prints ([how to read it](../how-to/read-answers.md)). Answers come in pages: give
`next_cursor` of one as `cursor`, and everything else unchanged, to get the next; null is the end.

A picture is sent as a file of a form, as the body itself, or in JSON as `url`, `base64`, `id` or `query`:

```sh
curl -F picture=@photo.jpg -F k=3 http://localhost:6868/api/v1/search
curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg 'http://localhost:6868/api/v1/search?k=3'
curl -H 'Content-Type: application/json' -d '{"id": 17, "k": 3}' http://localhost:6868/api/v1/search
```

Options stand in the form, in the JSON or in the address. A parameter or a field that an operation does not have is
refused, never ignored; so is one that is given twice.

HEAD is answered wherever GET is, OPTIONS says what a path takes. Thumbnails, previews, originals and records
of pictures have an `ETag`: with `If-None-Match` the answer is 304 where nothing has changed. Originals are given
in parts (`Range: bytes=0-1023`, 206; beyond the end 416). JSON and CSV come in gzip to callers that accept it. A hit
has `thumbnail_url`, `width` and `height`; `uri` is the place of its file for keys that may write, for others
its name alone (`urn:sosie:file:boat.jpg`).

An error is a problem document (RFC 9457) of the type `application/problem+json`: `code` is stable, `detail` says
what to do next, `reason` says why a picture was refused, in the words of the quarantine.

```json
{"type": "urn:sosie:problem:bad_filter", "title": "Bad Request", "status": 400, "code": "bad_filter",
 "detail": "filter, column 9: this quoted text has no end; a closing quote is missing"}
```

| status | codes |
|---|---|
| 400 | `bad_request`, `bad_filter`, `bad_box`, `bad_cursor` |
| 401 | `key_needed` |
| 403 | `scope_too_small`, `foreign_origin`, `library_read_only`, `paths_forbidden`, `urls_forbidden` |
| 404 | `not_found`, `unknown_name`, `query_forgotten`, `source_unreachable` |
| 405, 415, 416 | `method_not_allowed`, `unsupported_media_type`, `range_not_satisfiable` |
| 408, 413, 421, 429, 431 | `too_slow`, `body_too_large`, `foreign_host`, `too_many_requests`, `headers_too_large` |
| 422 | `invalid_request`, `unknown_parameter`, `repeated_parameter`, `bad_picture`, `bad_address`, `bad_labels` |
| 503 | `busy`, `library_busy`, `library_damaged`, `closing`: `Retry-After` says when to try again |
"""


def page() -> str:
    """Return the page."""
    with tempfile.TemporaryDirectory() as folder, sosie.open(Path(folder) / "library", model="histogram") as library:
        document: Mapping[str, Any] = create_app(library).openapi()
    listed = sorted(operations(document), key=lambda each: each.group)
    parts = [HEADER]
    for group, members in groupby(listed, key=lambda each: each.group):
        parts.append(f"## {group.capitalize()}\n")
        parts += [_entry(each) for each in members]
    return "\n".join(parts)


def _entry(each: Operation) -> str:
    lines = [f"### {each.method} {each.path}\n", f"{each.summary}\n", f"```sh\n{each.curl}\n```\n"]
    rows = [f"| `{name}` | {text}{' Required.' if needed else ''} |" for name, text, needed in each.parameters]
    if rows:
        lines += ["| parameter | |\n|---|---|\n" + "\n".join(rows) + "\n"]
    return "\n".join(lines)


if __name__ == "__main__":
    target = Path(__file__).parent / "reference" / "api.md"
    target.write_text(page(), encoding="utf-8")
    print(f"wrote {target.name}")
