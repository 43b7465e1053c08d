"""Published models, fetched from a hub on loopback that speaks the protocol of huggingface.co."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import sosie
from sosie.embedders.store import ModelStore
from sosie.errors import NotFound, ServiceAway, SosieError, UntrustedModel
from sosie.networks.hub import Lock, fetch
from sosie.networks.published import PUBLISHED, Published, RemoteFile
from tests.hubs import COMMIT, Hub, hub_of
from tests.networks import coloured_folder, colourful

FILE = RemoteFile("owner/tiny", "onnx/model.onnx")
TINY = Published(
    "tiny-published",
    "MIT",
    3,
    (FILE,),
    {"side": 32, "scale": 255.0},
    1,
    description={"input": "image", "output": "embedding"},
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def network(tmp_path: Path) -> bytes:
    return (colourful(tmp_path / "made") / "tiny.onnx").read_bytes()


@pytest.fixture
def hub(network: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_of({"owner/tiny/onnx/model.onnx": network}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


@pytest.fixture
def shelf(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def test_a_published_model_is_fetched_checked_and_described(hub: Hub, shelf: ModelStore, network: bytes) -> None:
    seen: list[tuple[int, int]] = []
    described = shelf.install(TINY, progress=lambda done, every: seen.append((done, every)))
    assert described.spec.sha256 == hashlib.sha256(network).hexdigest()
    assert described.spec.version == COMMIT[:12]
    assert described.spec.url == f"owner/tiny@{COMMIT}"
    assert seen[-1] == (len(network), len(network))
    assert not (shelf.folder / ".downloads").exists()
    assert {path for _, path, _ in hub.asked} >= {f"/owner/tiny/resolve/{COMMIT}/onnx/model.onnx"}


def test_what_is_here_is_not_fetched_again(hub: Hub, shelf: ModelStore) -> None:
    shelf.install(TINY)
    asked = len(hub.asked)
    shelf.install(TINY)
    assert len(hub.asked) == asked


def test_a_download_that_broke_goes_on(hub: Hub, shelf: ModelStore, network: bytes) -> None:
    hub.stop_after = 100
    with pytest.raises(ServiceAway):
        shelf.install(TINY)
    hub.stop_after = None
    shelf.install(TINY)
    assert [wanted for method, _, wanted in hub.asked if method == "GET"][-1] == "bytes=100-"
    assert (shelf.folder / TINY.name / "model.onnx").read_bytes() == network


def test_a_server_without_ranges_sends_all_of_it_again(hub: Hub, shelf: ModelStore, network: bytes) -> None:
    hub.stop_after = 100
    with pytest.raises(ServiceAway):
        shelf.install(TINY)
    hub.stop_after, hub.ranges = None, False
    shelf.install(TINY)
    assert (shelf.folder / TINY.name / "model.onnx").read_bytes() == network


def test_a_file_is_held_to_what_it_was_the_first_time(hub: Hub, shelf: ModelStore, tmp_path: Path) -> None:
    shelf.install(TINY)
    shelf.remove(TINY.name)
    hub.files["owner/tiny/onnx/model.onnx"] = (colourful(tmp_path / "b", "b") / "tiny.onnx").read_bytes() + b"\x12\x00"
    with pytest.raises(UntrustedModel, match="is what it must have"):
        shelf.install(TINY)
    assert shelf.names() == []
    assert json.loads((shelf.folder / "lock.json").read_text())["owner/tiny/onnx/model.onnx"]["commit"] == COMMIT


def test_a_branch_that_moved_on_does_not_move_the_library(hub: Hub, shelf: ModelStore) -> None:
    shelf.install(TINY)
    shelf.remove(TINY.name)
    hub.commit = "b" * 40  # the old commit is not served any more, and the new one is not asked for
    with pytest.raises(NotFound):
        shelf.install(TINY)
    assert hub.asked[-1][1].startswith(f"/owner/tiny/resolve/{COMMIT}/")


def test_a_known_digest_is_held_to_from_the_first_time_on(hub: Hub, shelf: ModelStore) -> None:
    known = replace(TINY, files=(replace(FILE, sha256="0" * 64),))
    with pytest.raises(UntrustedModel, match="000000000000… is what it must have"):
        shelf.install(known)
    assert not list((shelf.folder / ".downloads").glob("*"))


def test_a_page_in_place_of_weights_is_refused(hub: Hub, shelf: ModelStore) -> None:
    hub.files["owner/tiny/onnx/model.onnx"] = b"<!DOCTYPE html><p>Too many requests"
    with pytest.raises(UntrustedModel, match="is a web page"):
        shelf.install(TINY)
    assert shelf.names() == []


def test_a_login_page_is_told_from_a_hub(hub: Hub, shelf: ModelStore) -> None:
    hub.plain = True
    with pytest.raises(ServiceAway, match="no hub"):
        shelf.install(TINY)


@pytest.mark.parametrize(("status", "says"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (500, "answers 500")])
def test_what_the_hub_refuses_is_explained(hub: Hub, shelf: ModelStore, status: int, says: str) -> None:
    hub.status = status
    with pytest.raises(ServiceAway, match=says):
        shelf.install(TINY)


def test_a_file_larger_than_any_model_is_not_begun(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sosie.networks.hub._MOST", 50)
    with pytest.raises(UntrustedModel, match="more than a model may have"):
        fetch(FILE, tmp_path / "d", Lock(tmp_path / "lock.json"))
    assert [method for method, _, _ in hub.asked] == ["HEAD"]


def test_without_a_network_the_bundled_model_is_named(shelf: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ServiceAway, match="sosie models use bundled"):
        shelf.install(TINY)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ServiceAway, match="HF_HUB_OFFLINE"):
        shelf.install(TINY)


def test_weights_of_timm_become_a_network(tmp_path: Path, shelf: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm", reason="weights of timm need the train extra")
    import torch
    from safetensors.torch import save

    from sosie.embedders.onnx import OnnxEmbedder
    from sosie.types import Picture
    from tests.networks import SIDE

    torch.manual_seed(0)
    network = timm.create_model("test_resnet").eval()
    published = replace(
        TINY,
        name="tiny-timm",
        kind="timm",
        architecture="test_resnet",
        dim=network.num_features,
        files=(RemoteFile("timm/test_resnet", "model.safetensors"),),
    )
    with hub_of({"timm/test_resnet/model.safetensors": save(network.state_dict())}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        described = shelf.install(published)
    noise = torch.randint(0, 256, (SIDE, SIDE, 3), dtype=torch.uint8)
    found = OnnxEmbedder(described).embed([Picture(noise.numpy(), SIDE, SIDE)])
    network.reset_classifier(0)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(network(noise.permute(2, 0, 1)[None] / 255.0))
    assert found == pytest.approx(expected.numpy(), abs=1e-3)


def test_a_torchscript_of_another_server_becomes_a_network(
    hub: Hub, shelf: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="a TorchScript needs the train extra")
    monkeypatch.setenv("HF_TOKEN", "secret")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    torch.jit.trace(network, torch.zeros(1, 3, 32, 32)).save(tmp_path / "script.pt")
    hub.files["script.pt"] = (tmp_path / "script.pt").read_bytes()
    digest = hashlib.sha256(hub.files["script.pt"]).hexdigest()
    file = RemoteFile("cdn", "script.pt", sha256=digest, host=hub.address)
    described = shelf.install(replace(TINY, name="tiny-script", kind="torchscript", dim=5, files=(file,)))
    assert described.spec.version == hashlib.sha256(hub.files["script.pt"]).hexdigest()[:12]
    assert "secret" not in str(hub.tokens)
    hub.files["script.pt"] = b"PK no script"
    file = replace(file, sha256=hashlib.sha256(b"PK no script").hexdigest())
    with pytest.raises(UntrustedModel, match="is no TorchScript"):
        shelf.install(replace(TINY, name="other", kind="torchscript", files=(replace(file, repo="/cdn"),)))


def test_a_program_that_nobody_vouches_for_is_not_run(hub: Hub, shelf: ModelStore) -> None:
    hub.files["script.pt"] = b"a program"
    file = RemoteFile("cdn", "script.pt", host=hub.address)
    for _ in range(2):  # the first time must not make it known
        with pytest.raises(UntrustedModel, match="nobody here knows its SHA-256"):
            shelf.install(replace(TINY, name="script", kind="torchscript", files=(file,)))
    entry = {"cdn/script.pt": {"sha256": hashlib.sha256(b"a program").hexdigest()}}
    (shelf.folder / "lock.json").parent.mkdir(exist_ok=True)
    (shelf.folder / "lock.json").write_text(json.dumps(entry))
    with pytest.raises(SosieError) as refused:
        shelf.install(replace(TINY, name="script", kind="torchscript", files=(file,)))
    assert "nobody here knows" not in str(refused.value)


def test_a_token_stays_with_the_hub_whatever_it_answers(
    hub: Hub, shelf: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.elsewhere = f"//localhost:{hub.address.rpartition(':')[2]}/cdn/elsewhere"
    hub.files["elsewhere"] = b"x"
    with pytest.raises(SosieError):
        shelf.install(TINY)
    others = [token for host, token in hub.hosts if host.startswith("localhost")]
    assert others and set(others) == {None}


def test_a_token_is_shown_to_the_hub_alone(hub: Hub, shelf: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    shelf.install(TINY)
    assert "Bearer secret" in hub.tokens


def test_a_library_lists_fetches_tries_and_swaps_a_published_model(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sosie.evaluation.trial import try_model

    monkeypatch.setitem(PUBLISHED, TINY.name, TINY)
    with sosie.open(tmp_path / "library", model="histogram") as lib:
        lib.add(coloured_folder(tmp_path / "pictures"), label_from_folders=True)
        row = next(row for row in lib.models.list() if row.name == TINY.name)
        assert (row.here, row.pictures, row.licence) == (False, 0, "MIT")
        with pytest.raises(NotFound, match=f"sosie models get {TINY.name}"):
            lib.with_model(TINY.name)
        lib.models.get(TINY.name)
        assert try_model(lib, TINY.name) is not None
        lib.models.use(TINY.name, force=True)
        assert lib.search(1, k=1)[0].labels["label"] == lib.picture(1).labels["label"]


def test_the_table_names_only_whole_revisions_and_digests() -> None:
    for model in PUBLISHED.values():
        for file in model.files:
            if model.kind == "package":
                assert len(str(file.sha256)) == 64
                continue
            assert file.revision == "main" or len(file.revision) == 40
            assert file.sha256 is None or len(file.sha256) == 64
            assert (file.sha256 is None) == (file.revision == "main")
            assert file.host is None or file.host.startswith("https://")
        assert ("text" in model.tasks) == ("text" in model.description)
        assert model.spec.dim == model.dim
