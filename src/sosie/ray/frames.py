"""What a worker tells of one picture, as the bytes that travel: the frames of the decode workers, never pickles."""

from __future__ import annotations

from dataclasses import asdict
from io import BufferedReader, BytesIO

from sosie.analysis.embedding import Embedded, Recognised, features_answer, packed_features
from sosie.catalogue.records import ContentRow
from sosie.decode.metadata import check_metadata
from sosie.decode.wire import pack_answer, pack_refusal, read_answer
from sosie.errors import BadPicture

__all__ = ["Made", "pack", "unpack"]

Made = Embedded | Recognised | BadPicture


def pack(made: Made) -> bytes:
    """Return the bytes of an outcome."""
    if isinstance(made, BadPicture):
        return b"".join(pack_refusal("bad", made.reason, made.detail))
    if isinstance(made, Recognised):
        return b"".join(pack_answer({"sha256": made.sha256}))
    facts = {name: list(values) for name, values in made.facts.items()}
    features = features_answer(made.features)
    return b"".join(pack_answer({**asdict(made.row), "vector": made.vector, "facts": facts, **features}))


def unpack(frame: bytes) -> Made:
    """Return the outcome that `pack` wrote; raise ProtocolError for anything else."""
    answer = read_answer(BufferedReader(BytesIO(frame)), max_bytes=len(frame))
    if "bad" in answer:
        return BadPicture(*answer["bad"])
    values = dict(answer["ok"])
    vector, facts = values.pop("vector", None), check_metadata(values.pop("facts", None))
    features = packed_features({name: values.pop(name, None) for name in ("features", "grey")})
    if vector is None:
        return Recognised(values["sha256"])
    return Embedded(ContentRow(**values), vector, facts=facts, features=features)
