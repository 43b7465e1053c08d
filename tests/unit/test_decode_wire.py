"""What a worker sends is data of bounded size, whatever it would like it to be."""

from __future__ import annotations

import io
import json
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.decode.wire import ProtocolError, pack_answer, pack_refusal, read_answer

LIMIT = 1 << 16


def read(data: bytes, limit: int = LIMIT) -> dict[str, Any]:
    return read_answer(io.BufferedReader(io.BytesIO(data)), max_bytes=limit)


def frame(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


def test_an_answer_comes_back_as_it_was() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    sent = {"n": 1, "name": "é", "nothing": None, "nested": {"a": [1, 2.5]}, "raw": b"\0\xff", "array": array}
    found = read(b"".join(pack_answer(sent)))["ok"]
    assert np.array_equal(found.pop("array"), sent.pop("array"))
    assert found == sent


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3, 4)])
@pytest.mark.parametrize("dtype", ["bool", "float16", "int64", "uint8"])
def test_an_array_keeps_shape_and_type(shape: tuple[int, ...], dtype: str) -> None:
    array = np.ones(shape, dtype)[::-1] if shape else np.ones(shape, dtype)
    found = read(b"".join(pack_answer({"a": array})))["ok"]["a"]
    assert (found.shape, found.dtype) == (shape, array.dtype)
    assert found.flags.writeable
    assert found.flags.aligned


def test_numbers_of_numpy_are_numbers() -> None:
    assert read(b"".join(pack_answer({"a": np.int64(3), "b": np.float32(0.5)})))["ok"] == {"a": 3, "b": 0.5}


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array(["a"]), np.array([None]), float("nan")])
def test_what_is_not_data_is_not_sent(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        pack_answer({"a": value})


def test_a_refusal_comes_back_without_what_a_terminal_would_obey() -> None:
    parts = pack_refusal("bad", "corrupt", "a\x1b[31m\udc80é" + "x" * 5000)
    reason, detail = read(b"".join(parts))["bad"]
    assert reason == "corrupt"
    assert detail.startswith("a [31m é")
    assert len(detail) == 2000


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", (1 << 20) + 1),
        frame(b"not JSON"),
        frame(b"[" * 100_000),
        frame(b'{"values":{"a":NaN},"buffers":[]}'),
        frame(b'{"values":{"a":' + b"9" * 10_000 + b'},"buffers":[]}'),
        frame([]),
        frame({"values": {}}),
        frame({"values": [], "buffers": []}),
        frame({"values": {}, "buffers": [["a", "uint8"]]}),
        frame({"values": {}, "buffers": [["a", "object", [1]]]}),
        frame({"values": {}, "buffers": [["a", "uint8", [-1]]]}),
        frame({"values": {}, "buffers": [["a", "uint8", [1.0]]]}),
        frame({"values": {}, "buffers": [["a", "uint8", [True]]]}),
        frame({"values": {}, "buffers": [["a", "uint8", [1] * 9]]}),
        frame({"values": {}, "buffers": [["a", "bytes", [1, 1]]]}),
        frame({"values": {}, "buffers": [["a", "uint8", [LIMIT + 1]]]}),
        frame({"values": {}, "buffers": [["a", "float64", [LIMIT // 8]], ["b", "uint8", [1]]]}),
        frame({"values": {}, "buffers": [["a", "uint8", [0, 1 << 39, 1 << 39]]]}),
        frame({"bad": ["corrupt"]}),
        frame({"bad": ["corrupt", 1]}),
    ],
)
def test_a_frame_that_may_not_be_is_refused_before_it_costs_anything(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data)


def test_an_answer_at_the_limit_is_accepted() -> None:
    parts = pack_answer({"a": np.zeros(LIMIT, np.uint8)})
    assert read(b"".join(parts))["ok"]["a"].size == LIMIT


@given(st.binary(max_size=200), st.integers(0, 200))
def test_bytes_of_any_kind_end_in_an_error_or_an_answer(noise: bytes, at: int) -> None:
    good = b"".join(pack_answer({"a": 1, "b": np.zeros(4, np.uint8), "c": b"xyz"}))
    for data in (noise, good[:at] + noise + good[at + len(noise) :]):
        with suppress(ProtocolError, EOFError):
            read(data)
