"""The network in the wheel is what its description and its card say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.embedders.bundled import BundledEmbedder
from sosie.types import Picture

WEIGHTS = Path(sosie.__file__).parent / "embedders" / "weights"
CARD = Path(__file__).parents[2] / "docs" / "reference" / "bundled-model.md"


@pytest.fixture(scope="module")
def embedder() -> BundledEmbedder:
    return BundledEmbedder(threads=1)


def picture(seed: int, *, side: int = 128) -> Picture:
    """A smooth random picture: an 8 x 8 grid of colours, blown up."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Picture(np.kron(coarse, np.ones((side // 8, side // 8, 1), np.uint8)), side, side)


def split(rows: np.ndarray, embedder: BundledEmbedder) -> dict[str, np.ndarray]:
    dims = np.cumsum([head.dim for head in embedder.spec.heads])[:-1]
    return dict(zip([h.name for h in embedder.spec.heads], np.split(rows, dims, axis=1), strict=True))


def test_it_gives_a_semantic_and_a_copy_vector_of_unit_length(embedder: BundledEmbedder) -> None:
    vectors = split(embedder.embed([picture(1), picture(2)]), embedder)
    assert {name: v.shape for name, v in vectors.items()} == {"semantic": (2, 256), "copy": (2, 128)}
    for rows in vectors.values():
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-4)


def test_searches_that_share_the_cores_get_the_same_vectors(tmp_path: Path) -> None:
    seen = [picture(seed) for seed in range(3)]
    with sosie.open(tmp_path / "all") as alone, sosie.open(tmp_path / "one", threads=1) as sharing:
        assert np.abs(alone.embedder.embed(seen) - sharing.embedder.embed(seen)).max() < 1e-6
        for library, cores in ((alone, 0), (sharing, 1)):  # 0 leaves it to the runtime
            assert isinstance(library.embedder, BundledEmbedder)
            assert library.embedder._loaded().get_session_options().intra_op_num_threads == cores


def test_the_copy_vector_of_a_mirror_image_is_near(embedder: BundledEmbedder) -> None:
    """It learned from mirrored copies; the mirror image of a picture is nearer to it than any other picture."""
    seen = [picture(seed) for seed in range(3, 9)]
    mirrored = [Picture(np.ascontiguousarray(p.pixels[:, ::-1]), p.width, p.height) for p in seen]
    copy, other = (split(embedder.embed(each), embedder)["copy"] for each in (seen, mirrored))
    likeness = other @ copy.T
    assert likeness.argmax(1).tolist() == list(range(len(seen)))
    assert likeness.diagonal().min() > 0.8


def test_a_picture_has_the_same_vector_alone_and_in_a_batch(embedder: BundledEmbedder) -> None:
    seen = [picture(seed) for seed in range(5)]
    together = embedder.embed(seen)
    alone = np.concatenate([embedder.embed([each]) for each in seen])
    assert np.abs(together - alone).max() < 1e-5


def test_the_feature_map_keeps_its_place_in_the_picture(embedder: BundledEmbedder) -> None:
    plain, first, last = (np.full((128, 128, 3), 255, np.uint8) for _ in range(3))
    first[:64, :64] = last[64:, 64:] = picture(4, side=64).pixels
    maps = embedder.feature_maps([Picture(each, 128, 128) for each in (plain, first, last)])
    assert maps.shape[2:] == (7, 7)
    begins, ends = (np.abs(each - maps[0]).mean(0) for each in maps[1:])
    assert begins[:3, :3].mean() > 1.2 * max(begins[4:, 4:].mean(), ends[:3, :3].mean())
    assert ends[4:, 4:].mean() > 1.2 * max(ends[:3, :3].mean(), begins[4:, 4:].mean())


def test_both_versions_fit_in_a_wheel_of_24_megabytes() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.glob("*")) < 23_000_000


def test_the_notice_names_the_weights_that_others_trained(embedder: BundledEmbedder) -> None:
    root = CARD.parents[2]
    assert embedder.spec.licence == "MIT AND Apache-2.0"
    notice = (root / "NOTICE").read_text(encoding="utf-8")
    assert embedder.files[0].name in notice and "have been changed" in notice
    assert "Apache License" in (root / "LICENSE-APACHE").read_text(encoding="utf-8")


def test_its_card_says_its_version(embedder: BundledEmbedder) -> None:
    assert f"| version | {embedder.spec.version} |" in CARD.read_text(encoding="utf-8")
