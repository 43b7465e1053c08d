"""What can go wrong, and whose fault it is.

    SosieError                       exit code 2 unless a subclass says otherwise
    ├── UsageError (ValueError)          2  the caller asked for something that makes no sense
    │   ├── SettingsError                2  an unknown key or a value out of range in application.yaml
    │   ├── FilterError                  2  a ``--where`` expression that does not parse
    │   ├── WrongType (TypeError)        2  a value of a type, shape or dtype that means nothing here
    │   ├── LibraryClosed                2  a library that was closed is used
    │   └── UnknownName (KeyError)       2  no such embedder, index kind, source or space
    ├── NotFound (FileNotFoundError)     3  a path, picture or library that is not there
    │   └── SourceUnreachable            3  a source's root is away: nothing is dropped because of it
    ├── DamagedError                     3  a file of ours fails its digest or does not parse
    │   ├── DamagedIndex                 3  an index file: rebuilt from the catalogue
    │   ├── EmptyCatalogue               3  a catalogue of no bytes: damaged, and nothing in it can be lost any more
    │   └── UntrustedModel               3  a model file that is not what its description says
    ├── NewerSchema                      3  a library written by a newer Sosie: refused, never changed
    ├── LibraryBusy                      3  another process writes to this library
    ├── LibraryReadOnly (PermissionError) 3 the library cannot be written to
    ├── DiskFull (OSError)               3  there is no room to write; nothing that was committed is lost
    ├── MissingExtra (ImportError)       2  an optional dependency is not installed
    ├── BrokenPlugin (ImportError)       2  an installed package adds something that cannot be imported
    ├── ServiceAway (ConnectionError)    4  a service that the command needs does not answer
    └── BadPicture (ValueError)          3  one picture cannot be used; ``reason`` is a stable code

A message is one line: what happened, and what to do next.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadPicture",
    "BrokenPlugin",
    "DamagedError",
    "DamagedIndex",
    "DiskFull",
    "EmptyCatalogue",
    "FilterError",
    "LibraryBusy",
    "LibraryClosed",
    "LibraryReadOnly",
    "MissingExtra",
    "NewerSchema",
    "NoVector",
    "NotFound",
    "ServiceAway",
    "SettingsError",
    "SosieError",
    "SourceUnreachable",
    "UnknownName",
    "UntrustedModel",
    "UsageError",
    "WrongType",
]


class SosieError(Exception):
    """The root of every error that Sosie raises on purpose."""

    exit_code: ClassVar[int] = 2

    def __str__(self) -> str:
        # KeyError and OSError would print their arguments as a repr or a tuple.
        return str(self.args[0]) if self.args else self.__class__.__name__


class UsageError(SosieError, ValueError):
    """The caller asked for something that makes no sense."""


class SettingsError(UsageError):
    """A setting is unknown or out of range."""


class FilterError(UsageError):
    """A ``--where`` expression does not parse."""


class WrongType(UsageError, TypeError):
    """A value is of a type, a shape or a dtype that means nothing here."""


class LibraryClosed(UsageError):
    """A library is used that was closed."""


class UnknownName(UsageError, KeyError):
    """No embedder, index kind, source or space has that name."""


class NoVector(UsageError):
    """A picture of the library has no vector of the model in use yet."""


class NotFound(SosieError, FileNotFoundError):
    """A path, picture or library is not there."""

    exit_code = 3


class SourceUnreachable(NotFound):
    """A source's root is away, so nothing can be said about what it holds."""


class DamagedError(SosieError):
    """A file of the library fails its digest or does not parse."""

    exit_code = 3


class DamagedIndex(DamagedError):
    """An index file is damaged, foreign or stale; it can be rebuilt from the catalogue."""


class EmptyCatalogue(DamagedError):
    """A catalogue is a file of no bytes, which no library that is made ever has."""


class UntrustedModel(DamagedError):
    """A model file is not what its description says it is."""


class NewerSchema(SosieError):
    """The library was written by a newer version of Sosie."""

    exit_code = 3


class LibraryBusy(SosieError):
    """Another process writes to the library."""

    exit_code = 3


class LibraryReadOnly(SosieError, PermissionError):
    """The library cannot be written to."""

    exit_code = 3


class DiskFull(SosieError, OSError):
    """There is no room to write; nothing that was committed is lost."""

    exit_code = 3


class MissingExtra(SosieError, ImportError):
    """An optional dependency is not installed."""


class BrokenPlugin(SosieError, ImportError):
    """An installed package adds something that cannot be imported."""


class ServiceAway(SosieError, ConnectionError):
    """A service that the command needs does not answer."""

    exit_code = 4


class BadPicture(SosieError, ValueError):
    """One picture cannot be used.

    ``reason`` is a stable code that the quarantine stores (``truncated``, ``too_many_pixels``, ``not_a_picture`` …);
    ``detail`` is for people.
    """

    exit_code = 3

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def named(self, name: str) -> BadPicture:
        """Return the same refusal with the picture's name before it, which is shown as it is given."""
        other = BadPicture(self.reason, self.detail)
        other.args = (f"{name}: {self}",)
        return other
