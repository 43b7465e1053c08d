"""Nothing leaves the machine: what commands ask of the network and write outside the library, as the kernel sees it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sosie
from tests.pictures import folder_of

PICTURE = "pictures/odd/00001.jpg"
WAIT = "12"  # seconds; the runtime asks its first question after some five
CALLS = "network,openat,openat2,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
WRITES = re.compile(r"O_CREAT|O_WRONLY|O_RDWR|^\d+ +(creat|mkdir|rename|link|symlink)")
# A search with a picture, and time for what a dependency does in the background.
SEARCH = """
import sys, time, sosie
with sosie.open(sys.argv[1], create=False) as lib:
    print(lib.search(sys.argv[2]).hits[0].id)
    time.sleep(float(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    folder_of(folder / "pictures", 4)
    with sosie.open(folder / "library") as made:
        made.add(folder / "pictures", workers=1)
    for name in ("user", "tmp"):
        (folder / name).mkdir()
    return folder


def traced(place: Path, *command: str | Path, **environment: str) -> list[str]:
    """Run Python in a network namespace without a network, under strace; return the calls that it made."""
    tool = ["unshare", "-rn", "strace", "-f", "-qq"]
    if not shutil.which("strace") or subprocess.run([*tool, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace or network namespaces are not to be had here")
    trace = place / "tmp" / "trace"
    told = {"HOME": place / "user", "TMPDIR": place / "tmp", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    # Not the rest: with CI or a name like it in its environment the runtime keeps silent, and nothing would be shown.
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(
        [*tool, "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", trace, sys.executable, *command],
        env={**kept, **{name: str(value) for name, value in told.items()}},
        cwd=place,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return trace.read_text(errors="replace").splitlines()


def questions(calls: list[str]) -> list[str]:
    """Return the calls that reach for a network, or for the service that answers questions about names."""
    return [call for call in calls if re.search(r"socket\(AF_INET|sin6?_port|nscd", call)]


def written_outside(calls: list[str], place: Path) -> list[str]:
    """Return the calls that wrote a file below neither ``place`` nor /dev and /proc."""
    made = [call for call in calls if WRITES.search(call) and not re.search(r"= -1 E|unfinished", call)]
    absolute = [path for call in made for path in re.findall(r'"(/[^"]*)"', call)]
    inside = (str(place / "library"), str(place / "tmp"), "/dev/", "/proc/")
    return [path for path in absolute if not path.startswith(inside)]


COMMANDS = {
    "add": ("add", "pictures", "--again"),
    "search": ("search", PICTURE, "--json"),
    "copies": ("copies", PICTURE, "--json"),
    "duplicates": ("duplicates", "--json"),
    "index": ("index", "build", "--kind", "hnsw"),
    "export": ("export", "library/exported"),
    "doctor": ("doctor",),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_asks_nobody_and_writes_to_the_library_alone(name: str, place: Path) -> None:
    calls = traced(place, "-m", "sosie", *COMMANDS[name], SOSIE_LIBRARY=str(place / "library"))
    assert len(calls) > 100
    assert questions(calls) == []
    assert written_outside(calls, place) == []
    assert list((place / "user").rglob("*")) == []


def test_a_search_in_python_asks_nobody_later_on_either(place: Path) -> None:
    calls = traced(place, "-c", SEARCH, place / "library", PICTURE, WAIT)
    assert questions(calls) == []
    assert list((place / "user").rglob("*")) == []


def test_the_trace_finds_what_a_telling_runtime_does(place: Path, tmp_path: Path) -> None:
    """The same search, with what keeps the runtime silent taken out."""
    told = SEARCH.replace("with sosie", "__import__('os').environ.pop('ORT_DISABLE_TELEMETRY')\nwith sosie")
    calls = traced(place, "-c", told, place / "library", PICTURE, WAIT, HOME=str(tmp_path))
    assert questions(calls) and list(tmp_path.rglob("deviceid"))
