"""Draw the demo gallery: pictures of many subjects, media and moods, altered copies of some, and scenes.

    gallery/<subject>/<subject>-<medium>-<mood>-<n>.jpg    one subject each
    gallery/copies/<name>-<alteration>.jpg                 altered copies of some of them
    gallery/scenes/<setting>-<medium>-<mood>-<n>.jpg       several subjects each
    gallery/manifest.csv                                   what everything is, with boxes
    gallery/labels.csv                                     the columns of it that a library takes as labels

The plan is a list of jobs made from the seed alone; each job draws with its own random generator, so that the number
of workers and their order change nothing.
"""

from __future__ import annotations

import csv
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from sosie.errors import NotFound
from sosie.types import Box
from sosie_gallery.compose import SCENES, compose_picture, compose_scene
from sosie_gallery.copies import ALTERATIONS
from sosie_gallery.media import MEDIA
from sosie_gallery.moods import MOODS
from sosie_gallery.subjects import SUBJECTS

__all__ = ["Gallery", "GalleryItem", "draw_gallery", "read_gallery"]

MANIFEST, LABELS = "manifest.csv", "labels.csv"
_COLUMNS = ("path", "media", "subject", "mood", "kind", "original", "boxes")
_SIZES = ((448, 448), (480, 384), (400, 480), (512, 400))
_QUALITY = 88


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One file of the gallery.

    ``path`` and ``original`` are relative to the gallery's folder, with forward slashes. ``kind`` is ``picture``, the
    name of an alteration for a copy, or ``scene``. ``boxes`` say where which subject is; a copy has none.
    """

    path: str
    media: str
    subject: str
    mood: str
    kind: str
    original: str = ""
    boxes: tuple[tuple[str, Box], ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """The labels that a library learns: media, subject and mood."""
        return {"media": self.media, "subject": self.subject, "mood": self.mood}


@dataclass(frozen=True, slots=True)
class Gallery:
    """A drawn gallery: its folder and its items in the order of the manifest."""

    folder: Path
    items: tuple[GalleryItem, ...]

    @property
    def manifest(self) -> Path:
        return self.folder / MANIFEST

    @property
    def label_table(self) -> Path:
        """Path, media, subject, mood and kind of every file: a manifest for a folder source."""
        return self.folder / LABELS

    def of_kind(self, kind: str) -> list[GalleryItem]:
        """Return the items of one kind; ``copy`` means every alteration."""
        if kind == "copy":
            return [item for item in self.items if item.original]
        return [item for item in self.items if item.kind == kind]


@dataclass(frozen=True, slots=True)
class _Job:
    """One file to draw: what it will be, and the seed of its chance."""

    item: GalleryItem
    setting: str
    seed: tuple[int, ...]


def draw_gallery(
    folder: Path,
    *,
    seed: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
    pictures: int = 600,
    copies: int = 60,
    scenes: int = 30,
) -> Gallery:
    """Draw the gallery into ``folder`` and return it; the same seed gives the same bytes (with one Pillow).

    ``progress`` is called with (files drawn, files in all). ``workers`` above 1 draw in processes of their own.
    """
    first = [*_picture_jobs(seed, pictures), *_scene_jobs(seed, scenes)]
    later = _copy_jobs(seed, copies, first[:pictures])
    for name in sorted({str(Path(job.item.path).parent) for job in [*first, *later]}):
        (folder / name).mkdir(parents=True, exist_ok=True)
    items: list[GalleryItem] = []
    with _Workers(workers) as pool:
        for jobs in (first, later):  # copies are made from the finished files
            for item in pool.map(partial(_draw, folder), jobs):
                items.append(item)
                if progress is not None:
                    progress(len(items), len(first) + len(later))
    gallery = Gallery(folder, tuple(items))
    _write_tables(gallery)
    return gallery


def read_gallery(folder: Path) -> Gallery:
    """Return a gallery drawn before from its manifest; raise NotFound where there is none."""
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(f"no gallery in {folder}: draw one with 'sosie demo'")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [_item(row) for row in csv.DictReader(file)]
    return Gallery(folder, tuple(rows))


# ------------------------------------------------------------------------------------------------ the plan


def _picture_jobs(seed: int, count: int) -> list[_Job]:
    """Return every subject in every medium in turn; the mood shifts each time that a pair comes round."""
    subjects, media, moods = list(SUBJECTS), list(MEDIA), list(MOODS)
    jobs = []
    for i in range(count):
        which, lap = i % len(subjects), i // len(subjects)
        subject, medium = subjects[which], media[(which + lap) % len(media)]
        mood = moods[(which * 3 + lap + lap // len(media)) % len(moods)]
        name = f"{subject}/{subject}-{medium}-{mood}-{lap // len(media) + 1}.jpg"
        jobs.append(_Job(GalleryItem(name, medium, subject, mood, "picture"), "", (seed, 0, i)))
    return jobs


def _scene_jobs(seed: int, count: int) -> list[_Job]:
    settings, media, moods = list(SCENES), list(MEDIA), list(MOODS)
    jobs = []
    for i in range(count):
        setting, medium = settings[i % len(settings)], media[(i * 3 + i // len(media)) % len(media)]
        mood = moods[(i + i // len(settings)) % len(moods)]
        name = f"scenes/{setting}-{medium}-{mood}-{i + 1}.jpg"
        jobs.append(_Job(GalleryItem(name, medium, "", mood, "scene"), setting, (seed, 1, i)))
    return jobs


def _copy_jobs(seed: int, count: int, originals: Sequence[_Job]) -> list[_Job]:
    """Return alterations in turn, of originals drawn by lot, none twice while there are enough."""
    alterations = list(ALTERATIONS)
    lots = np.random.default_rng((seed, 3)).permutation(len(originals))
    jobs = []
    for i in range(count if originals else 0):
        item = originals[int(lots[i % len(lots)])].item
        kind = alterations[i % len(alterations)]
        name = f"copies/{Path(item.path).stem}-{kind}{i // len(lots) or ''}.jpg"
        jobs.append(_Job(replace(item, path=name, kind=kind, original=item.path), "", (seed, 2, i)))
    return jobs


# ------------------------------------------------------------------------------------------------ the files


def _draw(folder: Path, job: _Job) -> GalleryItem:
    rng = np.random.default_rng(job.seed)
    item = job.item
    if item.original:
        with Image.open(folder / item.original) as original:
            image = ALTERATIONS[item.kind](original.convert("RGB"), rng)
    elif item.kind == "scene":
        scene, boxes = compose_scene(job.setting, item.mood, rng, width=512, height=384)
        image = MEDIA[item.media](scene, rng)
        item = replace(item, subject=";".join(dict.fromkeys(name for name, _ in boxes)), boxes=tuple(boxes))
    else:
        width, height = _SIZES[int(rng.integers(len(_SIZES)))]
        picture, box = compose_picture(item.subject, item.mood, rng, width=width, height=height)
        image = MEDIA[item.media](picture, rng)
        item = replace(item, boxes=((item.subject, box),))
    image.save(folder / item.path, "JPEG", quality=_QUALITY)
    return item


class _Workers:
    """A pool of processes, or this one where one worker is enough; ``map`` keeps the order."""

    def __init__(self, count: int) -> None:
        # spawn: a fork of a process that has threads may hang
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, mp_context=context) if count > 1 else None

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, task: Callable[[_Job], GalleryItem], jobs: Iterable[_Job]) -> Iterator[GalleryItem]:
        return map(task, jobs) if self._pool is None else self._pool.map(task, jobs, chunksize=6)


def _write_tables(gallery: Gallery) -> None:
    with gallery.label_table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS[:5])
        writer.writerows((item.path, item.media, item.subject, item.mood, item.kind) for item in gallery.items)
    with gallery.manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for item in gallery.items:
            boxes = ";".join(f"{name}:{x} {y} {w} {h}" for name, (x, y, w, h) in item.boxes)
            writer.writerow((item.path, item.media, item.subject, item.mood, item.kind, item.original, boxes))


def _item(row: Mapping[str, str]) -> GalleryItem:
    text = {name: row[name] for name in _COLUMNS if name != "boxes"}
    return GalleryItem(**text, boxes=_boxes(row["boxes"]))


def _boxes(cell: str) -> tuple[tuple[str, Box], ...]:
    parts = [part.split(":") for part in cell.split(";") if part]
    return tuple((name, _four(numbers.split())) for name, numbers in parts)


def _four(numbers: Sequence[str]) -> Box:
    x, y, w, h = (float(number) for number in numbers)
    return (x, y, w, h)
