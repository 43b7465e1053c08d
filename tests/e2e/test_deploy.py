"""What lies in deploy/ fits its schemas and itself, and its commands are ones that the programs accept."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import typer
import yaml

import sosie
from sosie.cli.app import build_app
from tests.serving import running

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS = [
    (f"{path.name}-{document['kind']}-{document['metadata']['name']}", document)
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
BY_KIND = {(document["kind"], document["metadata"]["name"]): document for _, document in MANIFESTS}


def pods() -> Iterator[dict[str, Any]]:
    """Yield every pod's specification, with the labels that it carries."""
    for _, document in MANIFESTS:
        if template := document["spec"].get("template") if "spec" in document else None:
            yield {**template["spec"], "labels": template.get("metadata", {}).get("labels", {})}


def entrypoint() -> list[str]:
    return ["sosie"] if 'ENTRYPOINT ["sosie"]' in (DEPLOY / "Dockerfile").read_text(encoding="utf-8") else []


def commands() -> Iterator[list[str]]:
    """Yield every command of ours that anything in deploy/ runs or tells people to run."""
    for pod in pods():
        for container in pod["containers"]:
            yield from split([*container.get("command", entrypoint()), *container.get("args", [])])
    for service in COMPOSE["services"].values():
        if service.get("image") == "sosie":
            yield from split([*service.get("entrypoint", entrypoint()), *service["command"]])
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    yield [*entrypoint(), *yaml.safe_load(re.search(r"^CMD (.*)$", text, re.MULTILINE)[1])]
    for line in (DEPLOY / "README.md").read_text(encoding="utf-8").splitlines():
        if found := re.search(r"docker compose run --rm sosie (.*?)(?:#|$)", line):  # the service of that name
            yield [*entrypoint(), *shlex.split(found[1])]


def split(command: list[str]) -> Iterator[list[str]]:
    """Yield the commands of one line, which may be one for the shell."""
    if command[:2] == ["sh", "-c"]:
        for part in command[2].split("&&"):
            yield [word for word in shlex.split(part) if word != "exec"]
    else:
        yield command


def check_sosie(words: list[str]) -> None:
    """Have the real program read a command line, without doing what it says; raise what it finds wrong."""
    command: Any = typer.main.get_command(build_app())
    context = None
    while words:
        name, *words = words
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "commands") and not hasattr(command, "get_command"):
            return
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if not rest:
            return
        command, words = command.get_command(context, rest[0]), rest
        assert command is not None, f"sosie has no command {rest[0]!r}"


def check_ray(words: list[str]) -> None:
    scripts = pytest.importorskip("ray.scripts.scripts")
    assert words[:2] == ["ray", "start"]
    scripts.start.make_context("start", words[2:])


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_the_programs_accept_the_commands(command: list[str]) -> None:
    assert command
    check_sosie(command) if command[0] == "sosie" else check_ray(command)


def test_a_command_that_is_none_would_be_noticed() -> None:
    for wrong in (["sosie", "add", "/pictures", "--rya", "local"], ["sosie", "ad", "/pictures"]):
        with pytest.raises(Exception, match=r"rya|has no command"):
            check_sosie(wrong)


def test_there_are_commands_of_each_sort() -> None:
    found = {tuple(command[:2]) for command in commands()}
    assert found >= {("sosie", "serve"), ("sosie", "add"), ("sosie", "keys"), ("ray", "start")}


@pytest.mark.parametrize(("name", "document"), MANIFESTS, ids=[name for name, _ in MANIFESTS])
def test_a_manifest_fits_the_schema_of_kubernetes(name: str, document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.33", strict=True)


def test_compose_fits_its_schema() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_pod_mounts_is_there() -> None:
    for pod in pods():
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_services_select_pods_that_there_are() -> None:
    for (kind, _), document in BY_KIND.items():
        if kind == "Service":
            wanted = document["spec"]["selector"].items()
            assert any(wanted <= pod["labels"].items() for pod in pods())


def test_probes_ask_for_pages_of_the_server_by_the_address_of_a_pod(tmp_path: Path) -> None:
    container = BY_KIND["Deployment", "sosie"]["spec"]["template"]["spec"]["containers"][0]
    with sosie.open(tmp_path / "lib", model="histogram") as lib, running(lib) as address:
        for probe in ("readinessProbe", "livenessProbe"):
            path = container[probe]["httpGet"]["path"]
            assert httpx.get(address + path, headers={"Host": "10.1.2.3:6868"}).status_code == 200


def test_a_pod_has_time_to_drain() -> None:
    pod = BY_KIND["Deployment", "sosie"]["spec"]["template"]["spec"]
    (drain,) = [float(arg.partition("=")[2]) for arg in pod["containers"][0]["args"] if arg.startswith("--drain=")]
    assert 2 * pod["containers"][0]["readinessProbe"]["periodSeconds"] <= drain
    assert drain + 20 <= pod["terminationGracePeriodSeconds"]


def test_who_mounts_pictures_mounts_them_at_one_place() -> None:
    places = {
        m["mountPath"]
        for pod in pods()
        for c in pod["containers"]
        for m in c["volumeMounts"]
        if m["name"] == "pictures"
    }
    shared = {
        v.partition(":/")[2] for s in COMPOSE["services"].values() for v in s.get("volumes", []) if "PICTURES" in v
    }
    assert places == {"/pictures"}
    assert {f"/{place.partition(':')[0]}" for place in shared} == places
