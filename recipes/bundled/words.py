"""Make the table of single words: ImageNet's classes and kinds as directions of the semantic head, WordNet's words.

python -m recipes.bundled.words --packs PACKS --features FEATURES --wordnet /usr/share/wordnet --network bundled-6.onnx

A thing is a class, or what classes are kinds of. Each is the direction in which the semantic vectors tell best what the
classifier says of it: the least-squares map from semantic vectors to the classifier's outputs, over the pictures that
the heads were fitted to, no label used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.bundled.heads import Linear, last_means, prepared
from recipes.bundled.sets import read_rows
from recipes.bundled.wordnet import class_synsets, tags_of, words_of

__all__ = ["Things", "describe", "explained", "fit_things", "said_of", "semantic_head", "write_table"]

_STRENGTH = 1e-3  # of the ridge, in units of the mean variance


@dataclass(frozen=True, slots=True)
class Things:
    """Directions in the semantic space (things, dim), and which classes each thing is a kind of."""

    weight: np.ndarray
    bias: np.ndarray  # (things,)
    classes: tuple[tuple[int, ...], ...]


def semantic_head(network: Path) -> Linear:
    """Return the semantic head of an exported network."""
    import onnx
    from onnx import numpy_helper

    tensors = {each.name: each for each in onnx.load(network).graph.initializer}
    weight, bias = (numpy_helper.to_array(tensors[f"semantic.{name}.half"]) for name in ("weight", "bias"))
    return Linear(weight.astype(np.float32), bias.astype(np.float32))


def classifier_outputs(features: np.ndarray, size: int) -> np.ndarray:
    """Return what the package's classifier says of backbone features (n, classes), less each picture's mean."""
    import torch

    from recipes.bundled.network import checkpoint

    state = torch.load(checkpoint(size), map_location="cpu", weights_only=True)
    weight, bias = state["_fc.weight"].numpy(), state["_fc.bias"].numpy()
    said = last_means(features) @ weight.T + bias
    return np.asarray(said - said.mean(1, keepdims=True), np.float32)


def said_of(outputs: np.ndarray, things: Sequence[Sequence[int]]) -> np.ndarray:
    """Return what outputs (n, classes) say of things (n, things): the logarithm of the sum of their classes' odds.

    The mean of a thing's classes would find what is round about them: of 118 breeds, woods before dogs.
    """
    return np.stack([np.logaddexp.reduce(outputs[:, list(each)], axis=1) for each in things], axis=1)


def fit_things(seen: np.ndarray, outputs: np.ndarray, things: Sequence[tuple[int, ...]]) -> Things:
    """Fit directions to semantic vectors (n, dim) and the classifier's outputs (n, classes)."""
    said = said_of(outputs, things)
    x, y = seen - seen.mean(0), said - said.mean(0)
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += _STRENGTH * np.trace(gram) / len(gram)
    weight = np.linalg.solve(gram, x.T @ y).T.astype(np.float32)
    return Things(weight, said.mean(0) - weight @ seen.mean(0), tuple(things))


def explained(things: Things, seen: np.ndarray, outputs: np.ndarray) -> float:
    """Return the share of the variance that the directions tell, over other pictures."""
    said = said_of(outputs, things.classes)
    rest = (said - said.mean(0)) - (seen - seen.mean(0)) @ things.weight.T
    return float(1 - (rest - rest.mean(0)).var() / said.var(0).mean())


def write_table(
    things: Things,
    words: Mapping[str, Sequence[tuple[int, ...]]],
    tags: Mapping[str, Sequence[int]],
    out: Path,
) -> None:
    """Write the table that the package reads: one byte a number, a scale a thing.

    Things of one class tell the classifier's outputs, and so how sure a tag is.
    """
    unit = things.weight / np.linalg.norm(things.weight, axis=1, keepdims=True)
    scales = np.abs(unit).max(1) / 127
    row = {each: at for at, each in enumerate(things.classes)}
    names = sorted(words)
    with out.open("wb") as file:
        np.savez_compressed(
            file,
            rows=np.rint(unit / scales[:, None]).astype(np.int8),
            scales=scales.astype(np.float32),
            words=np.frombuffer("\n".join(names).encode(), np.uint8),
            members=np.array([row[each] for name in names for each in words[name]], np.int16),
            ends=np.cumsum([len(words[name]) for name in names]).astype(np.int32),
            **_tag_arrays(things, tags),
        )


def _tag_arrays(things: Things, tags: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    single = [at for at, each in enumerate(things.classes) if len(each) == 1]
    place = {things.classes[at][0]: number for number, at in enumerate(single)}
    names = sorted(tags)
    return {
        "class_rows": np.array(single, np.int16),
        "class_lengths": np.linalg.norm(things.weight[single], axis=1).astype(np.float32),
        "class_biases": things.bias[single].astype(np.float32),
        "tags": np.frombuffer("\n".join(names).encode(), np.uint8),
        "tag_members": np.array([place[each] for name in names for each in tags[name]], np.int16),
        "tag_ends": np.cumsum([len(tags[name]) for name in names]).astype(np.int32),
    }


def describe(description: Path, table: Path) -> None:
    """Name the table in the network's description."""
    raw = json.loads(description.read_text())
    raw["words"] = {"file": table.name, "sha256": hashlib.sha256(table.read_bytes()).hexdigest()}
    raw["tasks"] = list(dict.fromkeys([*raw["tasks"], "text"]))
    description.write_text(json.dumps(raw, indent=2) + "\n")


def main() -> None:
    """Fit, say how much of the classifier is told, write beside the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, required=True, help="the folder of data.noun, index.noun, noun.exc")
    parser.add_argument("--network", type=Path, required=True, help="bundled-N.onnx, its description beside it")
    parser.add_argument("--size", type=int, default=0, choices=(0, 1, 2))
    options = parser.parse_args()
    rows = read_rows(options.packs, options.features, [f"lite{options.size}"])
    head = semantic_head(options.network)
    parts = []
    for features in (rows.fitted[f"lite{options.size}"], rows.held[f"lite{options.size}"]):
        said = classifier_outputs(features, options.size)
        parts.append((head(prepared(features)), said))
    words = words_of(options.wordnet, class_synsets())
    things = fit_things(*parts[0], sorted({each for meant in words.values() for each in meant}))
    out = options.network.with_name(options.network.name.replace("bundled", "words")).with_suffix(".npz")
    tags = tags_of(options.wordnet, class_synsets())
    write_table(things, words, tags, out)
    describe(options.network.with_suffix(".json"), out)
    told = {
        "words": len(words),
        "things": len(things.classes),
        "tags": len(tags),
        "kB": out.stat().st_size // 1000,
        "fitted": len(parts[0][0]),
    }
    print(json.dumps({**told, "explained, held-out": round(explained(things, *parts[1]), 3)}))


if __name__ == "__main__":
    main()
