"""What lies in deploy/monitoring asks for metrics that a server exports, and fits its tools."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

import sosie
from tests.serving import running

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
METRIC = re.compile(r"\b(?:sosie|process)_\w+")


def expressions() -> Iterator[str]:
    """Yield what the rules and the dashboard ask Prometheus."""
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    yield from (each["query"] for each in DASHBOARD["templating"]["list"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> str:
    with sosie.open(tmp_path_factory.mktemp("metrics") / "lib", model="histogram") as library, running(library) as web:
        httpx.get(f"{web}/readyz")
        return httpx.get(f"{web}/metrics").text


def names(text: str) -> set[str]:
    """Return the names that samples of some metrics have; a histogram has three."""
    found = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found


def test_everything_that_is_asked_for_is_exported(exported: str) -> None:
    asked = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert len(asked) > 15
    assert asked - names(exported) == set()


def test_every_metric_says_what_it_is(exported: str) -> None:
    samples = {line.partition("{")[0].partition(" ")[0] for line in exported.splitlines() if not line.startswith("#")}
    assert samples - names(exported) == set()
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "sosie_build_info"} <= samples
    assert "sosie_recall_in_service NaN" in exported  # there before the first check, too
    assert exported.count("# HELP ") == exported.count("# TYPE ")


def test_every_alert_says_what_to_do() -> None:
    assert all({"summary", "action"} <= rule["annotations"].keys() and rule["labels"]["severity"] for rule in RULES)


def test_the_scrape_configuration_names_the_rules_and_the_path() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    assert [(FOLDER / name).is_file() for name in config["rule_files"]] == [True]
    assert {job.get("metrics_path", "/metrics") for job in config["scrape_configs"]} == {"/metrics"}


@pytest.mark.parametrize("check", ["rules alerts.yml", "config --syntax-only prometheus.yml"])
def test_promtool_accepts_them(check: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here")
    done = subprocess.run([promtool, "check", *check.split()], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
