"""Model files that are not what they should be are refused before a runtime sees them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, external_data_helper, helper, load, load_from_string, numpy_helper, save

from sosie.errors import UntrustedModel
from sosie.networks.onnx_file import check_network
from sosie.networks.runtime import open_network
from tests.networks import colourful


@pytest.fixture
def network(tmp_path: Path) -> bytes:
    return (colourful(tmp_path / "model") / "tiny.onnx").read_bytes()


def refused(data: bytes, tmp_path: Path, says: str) -> None:
    """Check that a file is refused though its digest is right, and that nothing but our own reader has looked at it."""
    path = tmp_path / "network.onnx"
    path.write_bytes(data)
    with pytest.raises(UntrustedModel, match=says) as caught:
        open_network(path, sha256=hashlib.sha256(data).hexdigest())
    assert "cannot be loaded" not in str(caught.value)  # that is what the runtime's own refusal is told with


def test_an_honest_network_passes_and_runs(network: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(network)
    session = open_network(path, sha256=hashlib.sha256(network).hexdigest())
    assert [each.name for each in session.get_outputs()] == ["embedding"]


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Log in", b"\n <html>", b"<?xml version='1.0'?><Error/>"])
def test_a_web_page_is_told_from_a_network(page: bytes, tmp_path: Path) -> None:
    refused(page, tmp_path, "is a web page")


def test_a_pointer_of_git_lfs_is_told_from_a_network(tmp_path: Path) -> None:
    refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", tmp_path, "Git LFS pointer")


def test_a_network_that_ends_early_is_refused_wherever_it_ends(network: bytes, tmp_path: Path) -> None:
    for end in range(0, len(network), 7):
        with pytest.raises(UntrustedModel, match="no ONNX network, or not all of it"):
            check_network(network[:end], "cut")


def test_any_bytes_are_refused_and_never_crash(network: bytes) -> None:
    random = np.random.default_rng(0)
    for size in (1, 10, 300, 3000):
        for _ in range(50):
            with pytest.raises(UntrustedModel):
                check_network(random.bytes(size), "noise")
    for _ in range(500):
        changed = bytearray(network)
        changed[random.integers(len(changed))] = random.integers(256)
        try:
            check_network(bytes(changed), "changed")
        except UntrustedModel:
            continue


def test_weights_in_other_files_are_refused(network: bytes, tmp_path: Path) -> None:
    model = load_from_string(network)
    external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    save(model, tmp_path / "external.onnx")
    data = (tmp_path / "external.onnx").read_bytes()
    assert (tmp_path / "weights.bin").exists()
    refused(data, tmp_path, "external data")


def test_external_weights_are_found_inside_the_branches_of_a_graph(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones(2, np.float32), "w")
    external_data_helper.set_external_data(weight, location="/etc/passwd")
    weight.ClearField("raw_data")
    branch = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])],
        "branch",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [weight],
    )
    choice = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])
    node = helper.make_node("If", ["c"], ["out"], then_branch=branch, else_branch=branch)
    model = helper.make_model(helper.make_graph([node], "g", [choice], [out]))
    refused(model.SerializeToString(), tmp_path, "external data")


def test_operators_of_a_foreign_library_are_refused(network: bytes, tmp_path: Path) -> None:
    model = load_from_string(network)
    model.graph.node[0].domain = "com.example.evil"
    refused(model.SerializeToString(), tmp_path, "operators of 'com.example.evil'")


def test_functions_that_the_file_itself_defines_are_not_foreign(network: bytes) -> None:
    model = load_from_string(network)
    mean = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "Mean", ["x"], ["y"], [mean], [helper.make_opsetid("", 17)]))
    model.graph.node[0].domain, model.graph.node[0].op_type = "own", "Mean"
    check_network(model.SerializeToString(), "own functions")
    model.functions[0].node[0].domain = "com.example.evil"
    with pytest.raises(UntrustedModel, match="evil"):
        check_network(model.SerializeToString(), "own functions")


def test_graphs_in_graphs_end_somewhere() -> None:
    graph = helper.make_graph([], "deepest", [], [])
    for _ in range(12):
        graph = helper.make_graph([helper.make_node("Loop", [], ["o"], body=graph)], "g", [], [])
    graph.output.append(helper.make_tensor_value_info("o", TensorProto.FLOAT, [1]))
    with pytest.raises(UntrustedModel, match="too deep"):
        check_network(helper.make_model(graph).SerializeToString(), "deep")


def test_networks_of_other_makers_pass(sosie_shared: Path) -> None:
    files = sorted((sosie_shared / "weights").glob("*.onnx"))
    assert len(files) > 5
    for path in files:
        check_network(path.read_bytes(), path.name)
        assert load(path).graph.node
