"""Elasticsearch nodes on loopback, as real server processes, from jars that Maven fetches once and keeps.

The security and the scripting modules are not among those jars; what needs them is not tested here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import filelock

HERE = Path(__file__).parent / "elasticsearch"
VERSION = "9.5.3"
HEAP = os.environ.get("ES_HEAP", "256m")
KEPT = Path(__file__).resolve().parents[2] / ".deps" / f"elasticsearch-{VERSION}"
_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--enable-native-access=ALL-UNNAMED",
    "--add-modules",
    "jdk.incubator.vector",
    "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
    "-Djava.awt.headless=true",
    "-Dfile.encoding=UTF-8",
)
_SETTINGS = (
    "network.host=127.0.0.1",
    "cluster.routing.allocation.disk.threshold_enabled=false",
    "action.destructive_requires_name=true",
)


class Missing(RuntimeError):
    """What the service needs is not on this machine."""


def find_jdk() -> Path:
    """Return the first JDK of version 21 or newer."""
    places = [os.environ.get("ES_JAVA_HOME", ""), os.environ.get("JAVA_HOME", ""), *Path("/usr/lib/jvm").glob("*")]
    for place in map(Path, filter(None, map(str, places))):
        release = place / "release"
        if (place / "bin/javac").exists() and release.exists():
            version = next((line for line in release.read_text().splitlines() if line.startswith("JAVA_VERSION=")), "")
            if int(version.split('"')[1].split(".")[0] or 0) >= 21:
                return place
    raise Missing("Elasticsearch needs a JDK of version 21 or newer: install one, or set ES_JAVA_HOME")


def distribution(jdk: Path) -> Path:
    """Return the folder with the server's jars, made once."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{KEPT}.lock"):
        if not (KEPT / ".ok").exists():
            shutil.rmtree(KEPT, ignore_errors=True)
            _assemble(jdk)
            (KEPT / ".ok").touch()
    return KEPT


def _assemble(jdk: Path) -> None:
    if shutil.which("mvn") is None:
        raise Missing("Elasticsearch's jars are fetched by Maven: install maven")
    transport, root = KEPT / "modules/transport-netty4", KEPT / "modules/root"
    for folder in (transport, root, KEPT / "plugins", KEPT / "config", KEPT / "natives", KEPT / "classes"):
        folder.mkdir(parents=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={KEPT / 'lib'}"]
    subprocess.run(["mvn", "-q", "-B", "-f", HERE / "pom.xml", *goal], check=True)
    # the transport layer is a module: a folder of its own, which gets a class loader of its own, and a descriptor
    for pattern in ("transport-netty4-*.jar", "netty-*.jar", "elasticsearch-ssl-config-*.jar"):
        for jar in (KEPT / "lib").glob(pattern):
            jar.rename(transport / jar.name)
    _describe(transport, "org.elasticsearch.transport.netty4.Netty4Plugin")
    _describe(root, "RootPlugin")
    (KEPT / "config/log4j2.properties").write_text(_LOGGING)
    known = subprocess.run(["ldconfig", "-p"], check=False, capture_output=True, text=True).stdout
    for line in known.splitlines():
        if "libzstd.so.1" in line:
            (KEPT / "natives/libzstd.so").unlink(missing_ok=True)
            (KEPT / "natives/libzstd.so").symlink_to(line.rsplit("=> ", 1)[1])
    sources = [HERE / "EsNode.java", HERE / "RootPlugin.java"]
    javac = [jdk / "bin/javac", "--release", "21", "-nowarn", "-cp", f"{KEPT}/lib/*", "-d", KEPT / "classes"]
    subprocess.run([*javac, *sources], check=True)
    for jar, pattern in ((root / "root.jar", "RootPlugin*.class"), (KEPT / "lib/es-node.jar", "EsNode*.class")):
        classes = [each.name for each in (KEPT / "classes").glob(pattern)]
        subprocess.run([jdk / "bin/jar", "cf", jar, *classes], cwd=KEPT / "classes", check=True)


def _describe(folder: Path, name: str) -> None:
    lines = {
        "name": folder.name, "description": folder.name, "classname": name, "version": VERSION,
        "elasticsearch.version": VERSION, "java.version": "21", "has.native.controller": "false",
    }  # fmt: skip
    text = "".join(f"{key}={value}\n" for key, value in lines.items())
    (folder / "plugin-descriptor.properties").write_text(text)


_LOGGING = """status = error
appender.c.type = Console
appender.c.name = c
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = [%d{ISO8601}][%-5p][%c{1}] %m%n
rootLogger.level = info
rootLogger.appenderRef.c.ref = c
"""


@dataclass
class Cluster:
    """Some nodes; each is one process that ends when ``watched`` does."""

    folder: Path
    nodes: int
    watched: int
    http: list[int] = field(default_factory=list)
    transport: list[int] = field(default_factory=list)
    pids: dict[int, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start every node and wait until they have found each other."""
        ports = _free_ports(2 * self.nodes)
        self.http, self.transport = ports[: self.nodes], ports[self.nodes :]
        for number in range(self.nodes):
            self.start_node(number)
        self.wait(self.nodes)

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.http)

    def address(self, name: str, **options: object) -> str:
        query = "&".join(f"{key}={value}" for key, value in options.items())
        return f"elasticsearch://{self.hosts}/{name}{'?' if query else ''}{query}"

    def start_node(self, number: int) -> None:
        """Start one node, anew or again."""
        jdk = find_jdk()
        kept = distribution(jdk)
        home = self.folder / f"n{number}"
        for name in ("config", "tmp"):
            (home / name).mkdir(parents=True, exist_ok=True)
        for name in ("modules", "plugins"):
            if not (home / name).exists():
                (home / name).symlink_to(kept / name)
        shutil.copy(kept / "config/log4j2.properties", home / "config")
        seeds = ",".join(f"127.0.0.1:{port}" for port in self.transport)
        found = [f"discovery.seed_hosts={seeds}"]
        if not (home / "data").exists():
            found.append("cluster.initial_master_nodes=" + ",".join(f"n{each}" for each in range(self.nodes)))
        command = [
            jdk / "bin/java", f"-Xms{HEAP}", f"-Xmx{HEAP}", *_OPTIONS, f"-Djava.io.tmpdir={home / 'tmp'}",
            f"-Des.nativelibs.path={kept / 'natives'}", f"-Dsosie.watched={self.watched}",
            "-cp", f"{kept}/lib/*", "EsNode", home, f"node.name=n{number}", "cluster.name=sosie-tests",
            f"http.port={self.http[number]}", f"transport.port={self.transport[number]}", *_SETTINGS, *found,
        ]  # fmt: skip
        with (home / "log").open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pids[number] = process.pid

    def kill(self, number: int) -> None:
        """End a node without a word."""
        os.kill(self.pids[number], signal.SIGKILL)
        _gone(self.pids.pop(number))

    def wait(self, nodes: int, *, status: str = "", seconds: float = 120) -> None:
        """Wait until so many nodes are one cluster, of this status where one is given."""
        deadline = time.monotonic() + seconds
        wanted = f"wait_for_nodes={nodes}&timeout=2s" + (f"&wait_for_status={status}" if status else "")
        while time.monotonic() < deadline:
            for number in list(self.pids):
                with contextlib.suppress(OSError, ValueError):
                    url = f"http://127.0.0.1:{self.http[number]}/_cluster/health?{wanted}"
                    if not json.load(urllib.request.urlopen(url, timeout=10))["timed_out"]:
                        return
                if not Path(f"/proc/{self.pids[number]}").exists():
                    raise Missing(f"a node has ended: {(self.folder / f'n{number}/log').read_text()[-2000:]}")
            time.sleep(0.2)
        raise TimeoutError(f"no cluster of {nodes} nodes after {seconds} s; see {self.folder}")

    def stop(self) -> None:
        """End every node."""
        for pid in self.pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in self.pids.values():
            _gone(pid)
        self.pids.clear()


def free_port() -> int:
    """Return a port that nobody listens on."""
    return _free_ports(1)[0]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _gone(pid: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


@contextlib.contextmanager
def running(folder: Path, nodes: int = 1) -> Iterator[Cluster]:
    """Run nodes for as long as the block lasts."""
    cluster = Cluster(folder, nodes, os.getpid())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@contextlib.contextmanager
def shared(folder: Path, watched: int) -> Iterator[Cluster]:
    """Run one node for several processes: the first starts it, the last ends it."""
    note, lock = folder / "elasticsearch.json", filelock.FileLock(folder / "elasticsearch.lock")
    with lock:
        cluster, users = _read(note)
        if cluster is None:
            cluster = Cluster(folder / "elasticsearch", 1, watched)
            shutil.rmtree(cluster.folder, ignore_errors=True)
            cluster.start()
        _write(note, cluster, users + 1)
    try:
        yield cluster
    finally:
        with lock:
            known, users = _read(note)
            if known is not None and users <= 1:
                known.stop()
                note.unlink()
            elif known is not None:
                _write(note, known, users - 1)


def _read(note: Path) -> tuple[Cluster | None, int]:
    if not note.exists():
        return None, 0
    kept = json.loads(note.read_text())
    pids = {int(number): pid for number, pid in kept["pids"].items()}
    return Cluster(Path(kept["folder"]), 1, kept["watched"], kept["http"], kept["transport"], pids), kept["users"]


def _write(note: Path, cluster: Cluster, users: int) -> None:
    kept: dict[str, object] = {name: getattr(cluster, name) for name in ("watched", "http", "transport", "pids")}
    note.write_text(json.dumps({**kept, "folder": str(cluster.folder), "users": users}))
