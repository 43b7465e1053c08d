"""What `sosie run` says in the end: where the library is, what was done, the first answers, the figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sosie.present.duration import milliseconds
from sosie.present.recall import recall_text
from sosie.present.text import display_path, visible

__all__ = ["summary"]

_FIRST = 3  # hits of a query
_FIGURES = ("mAP", "recall@1", "precision@10", "nDCG@10", "micro_ap", "recall@p=0.999")


def summary(done: Mapping[str, Any]) -> str:
    """Return the lines for a person from the document that ``--json`` prints."""
    return "\n".join(_lines(done))


def _lines(done: Mapping[str, Any]) -> Iterator[str]:
    library = done["library"]
    yield f"library    {display_path(done['place'])}: {library['pictures']} pictures, answers with {library['model']}"
    for each in done["add"]:
        refused = sum(each.get("quarantined", {}).values())
        new = each.get("new", each["indexed"])
        yield f"added      {display_path(each['source'])}: {new} new of {each['seen']}, {refused} refused"
    if done["train"]:
        yield from _training(done["train"])
    index = done["index"]
    recall = f", recall {recall_text(index)}" if isinstance(index.get("recall"), float) else ""
    yield f"index      {index['kind']}{recall}"
    for result in done["search"]:
        took = milliseconds(result["took_ms"])
        yield f"searched   {display_path(result['query'])}: {len(result['hits'])} hits in {took} ms"
        for hit in result["hits"][:_FIRST]:
            labels = " ".join(f"{visible(n)}={visible(str(v))}" for n, v in list(hit["labels"].items())[:2])
            what = f"{hit['rank']}  {hit['score']:.3f}  {hit['verdict']}"
            yield f"           {what}  {display_path(hit['uri'])}  {labels}".rstrip()
    for each in done["evaluate"]:
        figures = [f"{name} {each['metrics'][name]:.3f}" for name in _FIGURES if _number(each["metrics"].get(name))]
        yield f"evaluated  {each['config'].get('protocol', '')}: {', '.join(figures)}  ({display_path(each['run'])})"


def _training(trained: Mapping[str, Any]) -> Iterator[str]:
    how = "adopted" if trained["adopted"] else "kept beside, not adopted"
    yield f"trained    {trained['model']}: {how} ({trained['reason']})"
    for how, share in trained["accuracy"].items():
        yield f"           classes told right {how}: {share:.3f}"


def _number(value: object) -> bool:
    return isinstance(value, int | float)
