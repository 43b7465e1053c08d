"""Helpers for tests of HTML: any text at all, and a parser that minds its tags."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import strategies as st

__all__ = ["ANY_TEXT", "Balanced", "parsed"]

VOID = {"meta", "img", "br", "link", "input", "hr"}
ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=60)


class Balanced(HTMLParser):
    """Fails on a closing tag that does not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(document: str) -> Balanced:
    """Parse a document; fail where a tag is not closed or closes nothing."""
    parser = Balanced()
    parser.feed(document)
    parser.close()
    assert parser.open == []
    return parser
