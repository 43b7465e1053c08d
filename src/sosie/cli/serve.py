"""``sosie serve``: the web page and the REST API."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie.cli.options import LibraryOption, MaxMegapixelsOption, MaxSideOption
from sosie.cli.output import note_sandbox
from sosie.decode.limits import limits_of
from sosie.elastic import read_url
from sosie.errors import NotFound, SosieError
from sosie.library import folder_of

__all__ = ["PATIENCE", "network_cores", "serve", "serve_library", "server_settings"]

PATIENCE = 1.2  # seconds that a request waits for a cluster; then it is told that the cluster is away

HostOption = Annotated[str, typer.Option("--host", help="The address to listen on; others than loopback need a key.")]
PortOption = Annotated[int, typer.Option("--port", help="The port to listen on.", min=0, max=65535)]
AllowHostOption = Annotated[
    list[str] | None, typer.Option("--allow-host", help="A name that the server goes by, besides its address.")
]
AllowOriginOption = Annotated[
    list[str] | None, typer.Option("--allow-origin", help="A page elsewhere that may call the API: https://example.org")
]
RateOption = Annotated[
    float | None,
    typer.Option("--rate", help="Requests a second of one caller.", min=0.1, show_default="50; on loopback no limit"),
]
BodyOption = Annotated[int, typer.Option("--max-body", help="Megabytes that one upload may have.", min=1, max=1024)]
WorkersOption = Annotated[int, typer.Option("--workers", help="Searches that run at once.", min=1, max=64)]
PathsOption = Annotated[
    bool, typer.Option("--paths/--no-paths", help="Let the page add folders of this machine by their path.")
]
UrlsOption = Annotated[bool, typer.Option("--urls/--no-urls", help="Let people search by the address of a picture.")]
CheckRecallOption = Annotated[
    float, typer.Option("--check-recall", help="The share of searches checked against exact search.", min=0, max=1)
]
RunsOption = Annotated[
    Path, typer.Option("--runs", help="The folder of `sosie evaluate` whose reports the page shows.")
]
ReadOnlyOption = Annotated[bool, typer.Option("--read-only", help="Serve without ever writing to the library.")]
NoKeysOption = Annotated[
    bool, typer.Option("--no-keys", help="Serve this machine without keys, although the library had some once.")
]
PublicUrlOption = Annotated[
    str | None, typer.Option("--public-url", help="Where a proxy shows the server: https://pictures.example.org")
]
TrustedProxyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        help="An address or network of proxies whose X-Forwarded-For and -Proto are believed.",
        show_default="on loopback this machine",
    ),
]
BurstOption = Annotated[int, typer.Option("--burst", help="Requests of one caller at once, within --rate.", min=1)]
AccessLogOption = Annotated[
    str, typer.Option("--access-log", help="A line on stderr for each request: text, json, or off. Errors always are.")
]
DrainOption = Annotated[
    float, typer.Option("--drain", help="Seconds that /readyz fails before the port closes, after SIGTERM.", min=0)
]
CreateOption = Annotated[bool, typer.Option("--create", help="Make the library where there is none.")]


def serve(
    library: LibraryOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 6868,
    allow_host: AllowHostOption = None,
    allow_origin: AllowOriginOption = None,
    rate: RateOption = None,
    max_body: BodyOption = 64,
    workers: WorkersOption = 4,
    paths: PathsOption = True,
    urls: UrlsOption = True,
    check_recall: CheckRecallOption = 0.01,
    runs: RunsOption = Path("runs"),
    read_only: ReadOnlyOption = False,
    no_keys: NoKeysOption = False,
    create: CreateOption = False,
    public_url: PublicUrlOption = None,
    trusted_proxy: TrustedProxyOption = None,
    burst: BurstOption = 400,
    access_log: AccessLogOption = "text",
    drain: DrainOption = 0.0,
    max_megapixels: MaxMegapixelsOption = None,
    max_side: MaxSideOption = None,
) -> int:
    """Serve the library as a web page and a REST API, until Ctrl-C."""
    settings = server_settings(
        host=host,
        port=port,
        hosts=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
        rate=rate,
        max_body=max_body * 2**20,
        workers=workers,
        paths=paths,
        urls=urls,
        runs=runs,
        no_keys=no_keys,
        public_url=public_url,
        trusted_proxies=tuple(trusted_proxy or ()),
        burst=burst,
        access_log=access_log,
        drain=drain,
    )
    if not create:
        _check_there(library)
    gc.disable()  # looking for garbage among hundreds of modules as they come takes a tenth of the start
    try:
        with sosie.open(
            library,
            create=create and not read_only,
            read_only=read_only,
            patience=PATIENCE,
            check_recall=check_recall,
            threads=network_cores(),
            limits=limits_of(max_megapixels, max_side),
        ) as lib:
            serve_library(lib, settings)
    finally:
        gc.enable()
    return 0


def _check_there(library: Path | str | None) -> None:
    """Raise NotFound where a library in a folder is not there: a mistyped or unmounted one must not go live empty."""
    place = library or os.environ.get("SOSIE_LIBRARY") or "sosie-library"
    folder = folder_of(place)
    if read_url(os.fspath(place)) is not None or (folder / "catalogue.sqlite").exists():
        return  # a library on a cluster is looked for when it is opened
    state = "does not exist" if not folder.exists() else "has no catalogue (is its disk mounted?)"
    raise NotFound(
        f"there is no library to serve: {folder.absolute()} {state}; check --library, or make one with `sosie add` "
        "or `sosie serve --create`"
    )


def network_cores() -> int:
    """Return how many cores the network of a server may use: half, since the others decode, search and answer."""
    return max(1, (os.cpu_count() or 1) // 2)


def server_settings(*, host: str, workers: int = 4, rate: float | None = None, **others: Any) -> Any:
    """Return the settings of a server; one that others can reach has a limit of its rate."""
    # Searches run side by side already; BLAS threads of their own would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    # By name: cli and server stand on one row and know nothing of each other.
    config = import_module("sosie.server.config")
    private = config.is_loopback(host) and not others.get("public_url") and not others.get("hosts")
    limit = rate if rate is not None or private else 50.0
    return config.ServerSettings(host=host, workers=workers, rate=limit, **others)


def serve_library(lib: sosie.Library, settings: Any) -> None:
    """Serve an open library until Ctrl-C."""
    # An index is read and checked while the server's own modules are imported, which takes as long.
    opening = threading.Thread(target=_open_index, args=(lib,))
    opening.start()
    try:
        note_sandbox()
        server = import_module("sosie.server.run")
        gc.freeze()  # what is loaded by now stays
        gc.enable()
        server.serve(lib, settings=settings, announce=_announce)
    finally:
        opening.join()


def _open_index(lib: sosie.Library) -> None:
    with contextlib.suppress(SosieError):  # whoever asks is told
        lib.view().warm_up()


def _announce(address: str) -> None:
    print(f"Sosie is at {address} (Ctrl-C stops it)", file=sys.stderr, flush=True)
