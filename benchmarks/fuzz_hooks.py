"""Strategies for the texts that have a grammar of their own, and the few things that a schema cannot say."""

from __future__ import annotations

import io
import json
from functools import cache

import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image


@cache
def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((48, 48)).save(out, "JPEG")
    return out.getvalue()


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


letters = st.characters(codec="utf-8", exclude_characters="\0")  # a filter holds no NUL, and says so
names = st.text(letters, min_size=1, max_size=12).map(quoted)
values = st.one_of(st.text(letters, max_size=12).map(quoted), st.integers(-9999, 9999).map(str))
terms = st.builds(lambda n, op, v: f"{n} {op} {v}", names, st.sampled_from(["=", "!=", "<", ">="]), values)
filters = st.one_of(
    st.just(""),
    terms,
    st.builds(lambda a, o, b: f"({a}) {o} not {b}", terms, st.sampled_from(["and", "or"]), terms),
)
edges = st.integers(0, 9).map(lambda tenth: tenth / 10)
boxes = st.builds(
    lambda x, y, w, h: f"{x},{y},{(1 - x) * w:.4f},{(1 - y) * h:.4f}",
    edges,
    edges,
    *[st.sampled_from([0.1, 0.5, 1.0])] * 2,
)
labels = st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=3)

schemathesis.openapi.format("sosie-filter", filters)
schemathesis.openapi.format("sosie-box", boxes)
schemathesis.openapi.format("sosie-cursor", st.just(""))
schemathesis.openapi.format("sosie-labels", labels.map(json.dumps))
schemathesis.openapi.format("binary", st.integers(0, 40).map(picture))
