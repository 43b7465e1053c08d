"""A backup made beside a server that is used holds all that was acknowledged, and a restore brings it back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest

import sosie
from sosie.catalogue.copying import verify_catalogue
from sosie.cli import main
from sosie.errors import DamagedError, UsageError
from sosie.maintenance.backup import back_up, restore
from sosie.server.keys import keys_of
from tests.pictures import folder_of, jpeg
from tests.serving import running


def library_of(folder: Path, count: int = 4) -> Path:
    with sosie.open(folder, model="histogram") as lib:
        lib.add(folder_of(folder.parent / "pictures", count), workers=1)
        lib.set_labels(1, {"label": "cat"})
        lib.add_bytes(jpeg(90))
    return folder


def test_a_backup_beside_a_running_server_holds_what_was_acknowledged(tmp_path: Path) -> None:
    library, backup, other = tmp_path / "library", tmp_path / "backup", tmp_path / "other"
    with sosie.open(library, model="histogram") as lib:
        lib.add(folder_of(tmp_path / "pictures", 10), workers=1)
    with sosie.open(library) as lib, running(lib) as url:
        for seed in range(100, 130):
            answer = httpx.post(f"{url}/api/v1/pictures", files={"picture": jpeg(seed)}, timeout=60)
            assert answer.status_code == 201
        assert (library / "catalogue.sqlite-wal").stat().st_size > 0  # what a plain copy would have lost
        assert main(["backup", str(backup), "--library", str(library)]) == 0
    assert main(["restore", str(backup), "--library", str(other)]) == 0
    with sosie.open(other) as lib:
        assert lib.stats()["pictures"] == 40
        shutil.rmtree(library)  # uploads are the only copy: they have come along
        assert all(lib.read(i) for i in lib.catalogue.live_ids().tolist() if i > 10)
        assert lib.search(jpeg(129), k=1).hits[0].verdict.value == "identical"
    assert main(["doctor", "--library", str(other)]) in (0, 1)


def test_what_is_there_by_its_digest_is_not_copied_again(tmp_path: Path) -> None:
    library, backup = library_of(tmp_path / "library"), tmp_path / "backup"
    first = back_up(library, backup)
    assert (first.pictures, first.copied, first.known) == (5, 1, 0)
    with sosie.open(library) as lib:
        lib.add_bytes(jpeg(91))
    second = back_up(library, backup)
    assert (second.pictures, second.copied, second.known) == (6, 1, 1)
    with sosie.open(library) as lib:
        lib.remove([6])
    (gone,) = [p for p in (library / "uploads").iterdir() if p.read_bytes() == jpeg(91)] or [None]
    if gone is not None:
        gone.unlink()
    back_up(library, backup)
    assert len(list((backup / "objects").glob("*/*"))) == 1


def test_keys_come_back_with_the_library_and_stay_closed_without_them(tmp_path: Path) -> None:
    library, backup = library_of(tmp_path / "library"), tmp_path / "backup"
    assert main(["keys", "create", "ann", "--scope", "admin", "--library", str(library)]) == 0
    (library / "keys.json").chmod(0o600)
    back_up(library, backup)
    restore(backup, tmp_path / "other")
    with sosie.open(tmp_path / "other") as lib:
        assert [key.name for key in keys_of(lib).list()] == ["ann"]
    assert (tmp_path / "other" / "keys.json").stat().st_mode & 0o777 == 0o600
    (library / "keys.json").unlink()  # lost: the backup has none, and yet nobody gets in
    shutil.rmtree(backup)
    back_up(library, backup)
    restore(backup, tmp_path / "third")
    with sosie.open(tmp_path / "third") as lib:
        assert keys_of(lib).closed


@pytest.mark.parametrize("victim", ["catalogue.sqlite", "objects", "backup.json"])
def test_a_backup_that_is_damaged_is_not_restored(tmp_path: Path, victim: str) -> None:
    library, backup = library_of(tmp_path / "library"), tmp_path / "backup"
    back_up(library, backup)
    path = next((backup / "objects").glob("*/*")) if victim == "objects" else backup / victim
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 8
    path.write_bytes(data)
    other = tmp_path / "other"
    if victim == "backup.json":
        path.write_text("{}", encoding="utf-8")
    with pytest.raises(DamagedError):
        restore(backup, other)
    assert not (other / "catalogue.sqlite").exists()


def test_a_library_that_can_be_read_is_never_written_over(tmp_path: Path) -> None:
    library, backup = library_of(tmp_path / "library"), tmp_path / "backup"
    back_up(library, backup)
    with pytest.raises(UsageError, match="holds a library of 5 pictures"):
        restore(backup, library)
    with pytest.raises(UsageError, match="is in the library"):
        back_up(library, library / "backup")
    with pytest.raises(UsageError, match="no backup"):
        back_up(library, tmp_path / "pictures")


def test_a_damaged_catalogue_is_replaced_and_no_log_of_the_old_one_is_mixed_in(tmp_path: Path) -> None:
    library, backup = library_of(tmp_path / "library"), tmp_path / "backup"
    back_up(library, backup)
    with sosie.open(library) as lib:
        lib.add_bytes(jpeg(92))
    (library / "catalogue.sqlite").write_bytes(b"")
    (library / "catalogue.sqlite-wal").write_bytes(b"of another past" * 1000)
    assert main(["restore", str(backup), "--library", str(library)]) == 0
    assert verify_catalogue(library / "catalogue.sqlite") == 5
    with sosie.open(library) as lib:
        content_id, _ = lib.add_bytes(jpeg(93))
        assert content_id > 6  # 6 was the picture that is lost
        assert lib.labels() == {"label": {"cat": 1}}


def test_a_backup_names_no_file_outside_a_library(tmp_path: Path) -> None:
    library, backup = library_of(tmp_path / "library"), tmp_path / "backup"
    back_up(library, backup)
    manifest = json.loads((backup / "backup.json").read_text(encoding="utf-8"))
    (entry,) = manifest["files"].values()
    for name in ("../escaped", "indexes/x", "/tmp/escaped"):
        text = json.dumps({**manifest, "files": {name: entry}})
        (backup / "backup.json").write_text(text, encoding="utf-8")
        with pytest.raises(DamagedError, match="no file of a library"):
            restore(backup, tmp_path / "other")
    assert not (tmp_path / "escaped").exists()
