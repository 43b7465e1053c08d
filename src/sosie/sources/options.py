"""What a user may say about a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sosie.errors import UsageError

if TYPE_CHECKING:
    from sosie.sources.web.download import Download

__all__ = ["SourceOptions"]

_FLAGS = {
    "include": "--include",
    "exclude": "--exclude",
    "label_from_folders": "--label-from-folders",
    "manifest": "--labels",
    "dataset": "--dataset",
    "url_column": "--url-column",
    "label_columns": "--label-column",
    "allow_private": "--allow-private",
}


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options of every source together; a source refuses those that it has no use for.

    ``manifest`` is a table with a column ``path``, by its place below the folder; ``dataset`` a preset or a YAML file
    that describes a database; ``url_column`` and ``label_columns`` name columns of a list. ``allow_private`` lets
    downloads reach private addresses: only the command line may set it. ``validators`` is the file that keeps what
    servers say of a picture's version (``validators.Validators``).
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    label_from_folders: bool = False
    manifest: str | None = None
    dataset: str | None = None
    url_column: str | None = None
    label_columns: Sequence[str] | None = None
    allow_private: bool = False
    validators: str | None = None

    def only(self, what: str, *names: str) -> None:
        """Raise UsageError where an option is set that ``what`` has no use for."""
        # allow_private and validators are set for every source at once.
        for field in fields(self):
            if field.name not in (*names, "allow_private", "validators") and getattr(self, field.name):
                raise UsageError(f"{_FLAGS[field.name]} means nothing for {what}; leave it out")

    def download(self) -> Download:
        """Return the downloader that these options ask for."""
        from sosie.sources.web.addresses import Internet
        from sosie.sources.web.download import Download  # brings asyncio
        from sosie.sources.web.validators import Validators

        return Download(
            internet=Internet(allow_private=self.allow_private),
            validators=Validators(self.validators) if self.validators else None,
        )
