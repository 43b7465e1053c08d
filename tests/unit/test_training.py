"""Training: what is learned from, the start, the loop, the package; and everything that can be wrong with it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image

import sosie
from sosie.cli import main
from sosie.embedders.bundled import BundledEmbedder
from sosie.embedders.onnx import OnnxEmbedder, read_description
from sosie.errors import BadPicture, DiskFull, NotFound, ServiceAway, UnknownName, UsageError
from sosie.evaluation.runs import require_run
from sosie.evaluation.trial import try_model
from sosie.models.trained_on import TrainedOn
from sosie.sources import SourceOptions, open_source
from sosie.training import starts
from sosie.training.examples import gather, group_copies, part
from sosie.training.extractor import Exported, make_extractor
from sosie.training.fetched import fetch_originals
from sosie.training.layers import read_head
from sosie.training.loop import _SCHEDULES
from sosie.training.predict import store_predictions
from sosie.training.run import make_trainee, prepare, train
from sosie.training.settings import Settings
from sosie.training.starts import bundled_start, open_start
from sosie.types import Picture
from tests.painted import TONES, paint, painted

QUICK = Settings("classifier", unfreeze=3, epochs=2, views=2, batch=8, validation=0.25)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 30 pictures in three classes, embedded with the bundled network."""
    root = tmp_path_factory.mktemp("tones")
    with sosie.open(root / "lib") as lib:
        lib.add(paint(root / "pictures", 10), label_from_folders=True)
    return root / "lib"


@pytest.fixture
def library(tones: Path, tmp_path: Path) -> sosie.Library:
    shutil.copytree(tones, tmp_path / "lib")
    with sosie.open(tmp_path / "lib", create=False) as lib:
        yield lib


@pytest.fixture(scope="module")
def trained(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that knows the three tones, made by the command."""
    out = tmp_path_factory.mktemp("run") / "tones"
    torch.set_num_threads(1)
    argv = ["train", "classifier", "-L", str(tones), "--out", str(out), "--epochs", "3", "--views", "2", "--batch", "8"]
    assert main([*argv, "--unfreeze", "3", "--json"]) == 0
    return out


# ------------------------------------------------------------------------------------------------ what is learned from


def test_copies_of_one_picture_stand_on_one_side(tmp_path: Path) -> None:
    folder = paint(tmp_path / "pictures", 6)
    for tone in TONES:
        for seed in range(6):
            source = folder / tone / f"{seed:02d}.png"
            if source.exists():
                Image.open(source).convert("RGB").save(source.with_suffix(".jpg"), quality=70)
    with sosie.open(tmp_path / "lib") as lib:
        lib.add(folder, label_from_folders=True)
        examples = gather(lib, QUICK)
        stems = np.array([lib.picture(int(i)).uris[0].rpartition(".")[0] for i in examples.ids])
        assert len(set(stems)) == 18
        assert not set(stems[examples.training]) & set(stems[examples.validation])
        assert len(np.unique(group_copies(lib, examples.ids))) == 18


def test_every_class_is_on_both_sides() -> None:
    member = np.eye(4, dtype=np.uint8)[np.repeat(np.arange(4), [2, 3, 10, 40])]
    training, validation = part(member, np.arange(len(member)), share=0.2, seed=3)
    assert sorted([*training, *validation]) == list(range(len(member)))
    assert (member[training].sum(axis=0) >= 1).all()
    assert member[validation].sum(axis=0).tolist() == [1, 1, 2, 8]


def test_a_class_of_copies_alone_is_learned_and_not_judged() -> None:
    member = np.eye(2, dtype=np.uint8)[[0, 0, 0, 1, 1, 1]]
    training, validation = part(member, np.array([7, 7, 7, 1, 2, 3]), share=0.3, seed=0)
    assert set(training) >= {0, 1, 2}
    assert len(validation) == 1


def test_unseen_classes_take_no_part_in_training(library: sosie.Library) -> None:
    examples = gather(library, replace(QUICK, unseen=1))
    drawn = examples.labels.names.index(examples.unseen_names[0])
    seen = np.concatenate([examples.training, examples.validation])
    assert examples.labels.member[seen, drawn].sum() == 0
    assert examples.labels.member[examples.unseen, drawn].sum() == 10
    assert examples.targets.shape[1] == len(examples.names) == 2


def test_a_package_keeps_which_pictures_it_learned_from(library: sosie.Library, trained: Path) -> None:
    """Trying it then leaves those out; the pictures that chose the epoch were not learned from."""
    report = json.loads((trained / "report.json").read_text())
    known = TrainedOn.read(read_description(trained / "model.json").trained_on)
    assert len(known.pictures) == report["pictures"]["training"]
    assert known.pictures < {picture.sha256 for picture in library.pictures()}
    assert (known.labels, known.classes) == (("label",), frozenset({"red", "green", "blue"}))
    library.models.add(trained)
    trial = try_model(library, "tones")
    assert trial is not None
    assert trial.judged_by == "outside training"
    assert trial.parts[1].queries == report["pictures"]["validation"]


def test_a_head_may_hold_convolutions_normalisation_and_dropout(library: sosie.Library, tmp_path: Path) -> None:
    settings = replace(QUICK, head=("conv24", "bn", 32, "bn", "dropout0.3", 16), unfreeze=0, schedule="step")
    made = train(library, settings, tmp_path / "conv")
    embedder = OnnxEmbedder(read_description(made.description))
    assert (embedder.spec.dim, made.difference < 1e-4) == (16, True)
    network = make_extractor(open_start("bundled", None, "mean"), settings)
    kinds = [type(each).__name__ for each in network.head.layers]
    assert kinds == ["Linear", "BatchNorm1d", "GELU", "Dropout", "Linear"]
    assert [type(each).__name__ for each in network.trunk.own[0]] == ["Conv2d", "BatchNorm2d", "GELU"]
    assert network.train().trunk.own[0].training and not network.trunk.blocks[0].training


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("1024,conv512,256", "convolutions come first"),
        ("bn,conv512,256", "convolutions come first"),
        ("conv512,bn", "ends in a dense layer"),
        ("1024,swish,256", "'swish'"),
        ("1024,0", "1 to 16,384 units"),
        ("dropout1.5,256", "'dropout1.5'"),
    ],
)
def test_a_head_that_cannot_be_is_refused(head: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        replace(QUICK, head=read_head(head))


def test_the_rate_falls_by_its_schedule() -> None:
    assert [round(_SCHEDULES["step"](done), 3) for done in (0.0, 0.6, 0.8)] == [1.0, 0.1, 0.01]
    assert _SCHEDULES["cosine"](1.0) == pytest.approx(0) and _SCHEDULES["exponential"](1.0) == pytest.approx(0.01)
    assert set(_SCHEDULES) == set(get_args(get_type_hints(Settings)["schedule"]))


def test_a_run_is_begun_anew_only_where_that_is_asked_for(library: sosie.Library, tmp_path: Path) -> None:
    out, short = tmp_path / "run", replace(QUICK, epochs=1)
    with pytest.raises(UnknownName):  # ends before anything is learned
        train(library, replace(short, start="resnet50x"), out)
    (out / "mine.txt").write_text("kept")
    train(library, short, out)
    with pytest.raises(UsageError, match="--overwrite to begin anew"):
        train(library, QUICK, out)
    train(library, replace(short, seed=1), out, overwrite=True)
    assert json.loads((out / "settings.json").read_text())["seed"] == 1
    assert (out / "mine.txt").read_text() == "kept"


# ------------------------------------------------------------------------------------------------ starts


def test_the_bundled_network_in_torch_gives_what_its_onnx_file_gives() -> None:
    start = bundled_start()
    pictures = [np.asarray(Image.open(io.BytesIO(painted("red", seed, start.side)))) for seed in range(3)]
    theirs = BundledEmbedder().embed([Picture(p, start.side, start.side) for p in pictures])[:, :256]
    net = Exported(make_extractor(start, QUICK).eval(), None)
    with torch.no_grad():
        ours = net(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float())[0].numpy()
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("layers", [0, 1, 10, 10_000])
def test_only_the_last_layers_learn(layers: int) -> None:
    net = make_extractor(bundled_start(), replace(QUICK, unfreeze=layers)).trunk
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    learning = [m.weight.requires_grad for m in convolutions]
    assert sum(learning) == min(layers, len(convolutions))
    assert learning == sorted(learning)


def test_any_network_of_timm_is_cut_where_it_is_a_row() -> None:
    start = open_start("resnet18", "none", "gem")
    assert len(start.trunk.blocks) > 8
    x = torch.rand(2, 3, 64, 64)
    start.trunk.unfreeze(2)
    with torch.no_grad():
        assert torch.allclose(start.trunk.learning(*start.trunk.still(x))[1], start.trunk(x)[1])


def test_a_head_is_as_it_was_asked_for() -> None:
    head = make_extractor(bundled_start(), replace(QUICK, head=(96, 48, 24))).head
    assert [m.out_features for m in head.modules() if isinstance(m, torch.nn.Linear)] == [96, 48, 24]


def test_a_checkpoint_of_another_network_is_refused_with_what_does_not_fit(tmp_path: Path) -> None:
    import timm

    other = timm.create_model("resnet10t", num_classes=0)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    with pytest.raises(UsageError, match="another network than resnet18"):
        open_start("resnet18", str(tmp_path / "other.pt"), "mean")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(UsageError, match="no checkpoint that can be read"):
        open_start("resnet18", str(tmp_path / "text.pt"), "mean")
    with pytest.raises(NotFound, match="no checkpoint at"):
        open_start("resnet18", str(tmp_path / "gone.pt"), "mean")


def test_a_checkpoint_is_taken_whatever_its_keys_begin_with(tmp_path: Path) -> None:
    import timm

    net = timm.create_model("resnet10t", num_classes=0)
    torch.save({"model": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "net.pt")
    start = open_start("resnet10t", str(tmp_path / "net.pt"), "mean")
    stored = {v.sum().item() for v in net.state_dict().values()}
    assert {v.sum().item() for v in start.trunk.state_dict().values()} <= stored


def test_an_unknown_network_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'resnet50'"):
        open_start("resnet5o", None, "mean")


def test_published_weights_that_cannot_be_had_are_a_service_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ServiceAway, match="--weights none"):
        open_start("resnet10t", None, "mean")


def test_a_hub_that_does_not_answer_is_noticed_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client would try again for a minute; here nobody listens."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert not starts._reachable()
        calls = []
        monkeypatch.setattr("timm.create_model", lambda *_, **__: calls.append(constants.HF_HUB_OFFLINE) or 1 / 0)
        with pytest.raises(ServiceAway, match="--weights none"):
            open_start("resnet10t", None, "mean")
    assert calls == [True] and constants.HF_HUB_OFFLINE is False
    with socket.create_server(("127.0.0.1", 0)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        assert starts._reachable()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_library_of_addresses_fetches_again_what_it_does_not_keep(tmp_path: Path) -> None:
    """With the permissions that `add` was given, and with a word on the option where it has none."""
    folder, own = paint(tmp_path / "pictures", 5), SourceOptions(allow_private=True)
    places = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    with served(folder) as address, sosie.open(tmp_path / "lib") as library:
        rows = "".join(f"{address}/{place},{place.parent}\n" for place in places)
        (tmp_path / "list.csv").write_text("url,label\n" + rows)
        assert library.add(open_source(str(tmp_path / "list.csv"), own)).indexed == len(places)
        with pytest.raises(NotFound, match=r"none of the 15 .*private_address.* --allow-private"):
            train(library, QUICK, tmp_path / "run")
        made = train(library, QUICK, tmp_path / "run", download=own.download())
        assert made.refused == {} and made.gains
        assert not (tmp_path / "run" / "work").exists()  # nothing that was fetched stays


def test_what_has_changed_on_the_web_is_not_learned_from(tmp_path: Path) -> None:
    folder, own = paint(tmp_path / "pictures", 5), SourceOptions(allow_private=True)
    with served(folder) as address, sosie.open(tmp_path / "lib") as library:
        places = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
        (tmp_path / "list.csv").write_text("url\n" + "".join(f"{address}/{place}\n" for place in places))
        library.add(open_source(str(tmp_path / "list.csv"), own))
        (folder / places[0]).write_bytes((folder / places[1]).read_bytes())
        ids = [picture.id for picture in library.pictures()]
        found = fetch_originals(library, ids, tmp_path / "fetched", download=own.download())
        changed = next(p for p in library.pictures() if p.uris[0].endswith(str(places[0])))
        with pytest.raises(BadPicture, match="changed"):
            found.read(changed.id)
        for each in ids:
            if each != changed.id:
                assert hashlib.sha256(found.read(each)).hexdigest() == library.picture(each).sha256


# ------------------------------------------------------------------------------------------------ the package


def test_the_package_gives_what_torch_gave_and_is_described(trained: Path) -> None:
    report = json.loads((trained / "report.json").read_text())
    assert report["onnx_difference"] < 1e-4
    description = read_description(trained / "model.json")
    assert description.spec.name == "tones"
    assert description.classes.names == ("blue", "green", "red")
    vectors = OnnxEmbedder(description).embed([Picture(np.zeros((128, 128, 3), np.uint8), 128, 128)])
    assert vectors.shape == (1, 256)
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)


def test_the_card_says_what_it_was_trained_on_and_what_it_measures(trained: Path) -> None:
    card = (trained / "MODEL_CARD.md").read_text()
    for part_of_it in (
        "| red | 10 |",
        "Licence of the start: MIT",
        "| mAP | before |",
        "| mAP | after |",
        "learned from",
    ):
        assert part_of_it in card
    gain = next(line for line in card.splitlines() if line.startswith("| mAP | after |"))
    assert "[" in gain  # with its interval


def test_the_report_shows_the_learning_curve(trained: Path) -> None:
    page = (trained / "report.html").read_text()
    assert page.count("<svg") == 2
    assert "Epoch" in page
    assert any((trained / "logs").iterdir())


def test_the_measures_are_runs_that_evaluate_compares(trained: Path) -> None:
    for name in ("before", "after"):
        assert require_run(trained / "measured" / "held-out" / name).protocol == "labels"
    assert (
        main(["evaluate", "compare", *(str(trained / "measured" / "held-out" / n) for n in ("before", "after"))]) == 0
    )


def test_nothing_that_is_only_for_training_is_left(trained: Path) -> None:
    assert not (trained / "work").exists()


def test_equal_seeds_give_equal_weights(library: sosie.Library, tmp_path: Path) -> None:
    runs = [train(library, QUICK, tmp_path / name) for name in ("a", "b")]
    assert (tmp_path / "a" / "model.onnx").read_bytes() == (tmp_path / "b" / "model.onnx").read_bytes()
    assert runs[0].history.epochs == runs[1].history.epochs


def test_predictions_are_labels_that_search_can_filter_by(trained: Path, library: sosie.Library) -> None:
    assert store_predictions(library, trained / "model.json") == 30
    right = sum(record.labels["predicted.class"] == record.labels["label"] for record in library.pictures())
    assert right >= 20
    query = library.pictures(where="predicted.class = 'red'")[0]
    hits = library.search(query.id, k=5, where="predicted.class = 'red' and predicted.confidence > 0")
    assert len(hits) == 5
    assert {hit.labels["predicted.class"] for hit in hits} == {"red"}


def test_a_network_without_classes_predicts_none(library: sosie.Library, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "plain")
    raw = json.loads((tmp_path / "plain" / "model.json").read_text())
    del raw["classes"]
    (tmp_path / "plain" / "model.json").write_text(json.dumps(raw))
    with pytest.raises(UsageError, match="tells no classes"):
        store_predictions(library, tmp_path / "plain" / "model.json")


# ------------------------------------------------------------------------------------------------ several labels


def test_several_labels_a_picture_are_learned_and_told(tmp_path: Path) -> None:
    folder = paint(tmp_path / "pictures", 8, ("red", "blue", "grey"))
    with (folder / "table.csv").open("w", newline="") as file:
        rows = [("path", "tags")] + [
            (f"{tone}/{seed:02d}.png", f"{tone};{'coloured' if tone != 'grey' else 'dull'}")
            for tone in ("red", "blue", "grey")
            for seed in range(8)
        ]
        csv.writer(file).writerows(rows)
    assert main(["add", str(folder), "-L", str(tmp_path / "lib"), "--labels", "table.csv"]) == 0
    with sosie.open(tmp_path / "lib") as lib:
        done = train(lib, replace(QUICK, labels=("tags",), epochs=4, rate=1e-2), tmp_path / "run")
        assert done.examples.several
        assert done.accuracy["by the classifier"] > 0.7
        store_predictions(lib, done.description)
        told = lib.pictures()[0].labels["predicted.class"]
        assert isinstance(told, tuple)
    assert {row["measure"] for row in done.gains[0].rows} >= {"mAP", "nDCG@10"}


# ------------------------------------------------------------------------------------------------ what can be wrong


def test_one_class_only(library: sosie.Library, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"label has 1 class of two pictures or more \(red\).*add labelled pictures"):
        train(library, replace(QUICK, where="label = 'red'"), tmp_path / "run")
    assert not (tmp_path / "run" / "work").exists()


def test_a_class_of_one_picture_is_left_out_and_named(library: sosie.Library) -> None:
    library.set_labels(1, {"label": "lonely"})
    examples = gather(library, QUICK)
    assert "lonely" not in examples.labels.names
    assert any("fewer than 2 pictures: lonely" in line for line in examples.notes)
    assert len(examples.ids) == 29


def test_missing_labels(library: sosie.Library, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'label'"):
        gather(library, replace(QUICK, labels=("lable",)))
    for content_id in library.catalogue.live_ids().tolist():
        library.set_labels(content_id, {"label": None})
    with pytest.raises(UsageError, match="add labels"):
        gather(library, QUICK)


def test_a_corrupt_picture_is_skipped_and_counted(tmp_path: Path) -> None:
    folder = paint(tmp_path / "pictures", 6)
    with sosie.open(tmp_path / "lib") as lib:
        lib.add(folder, label_from_folders=True)
        (folder / "red" / "00.png").write_bytes(b"no picture any more")
        (folder / "red" / "01.png").unlink()
        done = train(lib, replace(QUICK, epochs=1), tmp_path / "run")
    assert done.refused == {"away": 2}


def test_when_all_pictures_are_corrupt_nothing_is_trained(tmp_path: Path) -> None:
    folder = paint(tmp_path / "pictures", 3)
    with sosie.open(tmp_path / "lib") as lib:
        lib.add(folder, label_from_folders=True)
        for path in folder.rglob("*.png"):
            path.write_bytes(b"no picture any more")
        with pytest.raises(NotFound, match="none of the 9 pictures can be read"):
            train(lib, QUICK, tmp_path / "run")


def test_a_disk_without_room_is_noticed_before_anything_is_decoded(
    library: sosie.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("sosie.training.store.shutil.disk_usage", lambda _path: usage._replace(free=1 << 20))
    with pytest.raises(DiskFull, match="take fewer --views"):
        train(library, QUICK, tmp_path / "run")
    assert not list((tmp_path / "run" / "work").glob("*.npy"))


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(library: sosie.Library, tmp_path: Path) -> None:
    settings = replace(QUICK, epochs=3)
    whole = train(library, settings, tmp_path / "whole")

    def interrupt(stage: str, done: int, _every: int, _word: str) -> None:
        if stage == "epochs" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(library, settings, tmp_path / "broken", report=interrupt)
    told: list[int] = []
    resumed = train(
        library, settings, tmp_path / "broken", report=lambda s, d, *_: told.append(d) if s == "epochs" else None
    )
    assert told == [3]
    assert resumed.history.epochs == whole.history.epochs
    assert (tmp_path / "broken" / "model.onnx").read_bytes() == (tmp_path / "whole" / "model.onnx").read_bytes()


def test_other_settings_do_not_go_on_in_the_same_folder(library: sosie.Library, tmp_path: Path, trained: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    with pytest.raises(UsageError, match=r"other settings .*epochs: 3 there, 2 asked for"):
        train(library, QUICK, tmp_path / "run")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "photo.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="holds other files"):
        train(library, QUICK, tmp_path / "else")


def test_a_damaged_checkpoint_says_what_to_do(library: sosie.Library, tmp_path: Path) -> None:
    prepared = prepare(library, QUICK, tmp_path)
    from sosie.training.loop import fit

    fit(make_trainee(prepared, QUICK), prepared.store, prepared.examples, QUICK, folder=tmp_path)
    (tmp_path / "last.pt").write_bytes(b"broken")
    with pytest.raises(sosie.errors.DamagedError, match="train again"):
        fit(make_trainee(prepared, QUICK), prepared.store, prepared.examples, QUICK, folder=tmp_path)


def test_a_checkpoint_of_another_architecture_is_refused(library: sosie.Library, tmp_path: Path) -> None:
    from sosie.training.loop import fit

    prepared = prepare(library, QUICK, tmp_path / "store")
    fit(make_trainee(prepared, QUICK), prepared.store, prepared.examples, QUICK, folder=tmp_path)
    other = replace(QUICK, head=(32,))
    with pytest.raises(UsageError, match="head"):
        fit(make_trainee(prepared, other), prepared.store, prepared.examples, other, folder=tmp_path)


def test_a_rate_that_breaks_the_loss_is_named(library: sosie.Library, tmp_path: Path) -> None:
    from sosie.training.loop import fit

    settings = replace(QUICK, rate=10.0, optimiser="sgd", epochs=20, patience=20)
    prepared = prepare(library, settings, tmp_path)
    trainee = make_trainee(prepared, settings)
    with torch.no_grad():
        trainee.objective.scale.fill_(200.0)
    with pytest.raises(UsageError, match="lower --rate"):
        fit(trainee, prepared.store, prepared.examples, settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--head", "0"], "a layer has 1 to 16,384 units"),
        (["--head", "1024,x"], "a head is layers such as"),
        (["--dropout", "1.5"], "dropout is a share"),
        (["--validation", "0"], "validation is a share"),
        (["--rate", "-1"], "a rate is above 0"),
        (["--unseen", "2"], "at least 4 are needed"),
        (["--where", "label = 'none'"], "no picture meets --where"),
        (["--weights", "x.pt"], "leave out --weights"),
    ],
)
def test_wrong_options_are_one_line(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["train", "classifier", "-L", str(tones), "--out", str(tmp_path / "run"), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_a_choice_that_there_is_not_is_refused_on_the_command_line_and_from_python(
    tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "classifier", "-L", str(tones), "--balance", "perhaps"]) == 2
    assert "'perhaps' is not one of 'none', 'sample', 'weight'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="balance is none, sample or weight, not 'perhaps'"):
        Settings("classifier", balance="perhaps")  # type: ignore[arg-type]
