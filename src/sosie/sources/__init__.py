"""Where pictures come from: folders, archives, lists, databases, stores, the web."""

from sosie.sources.open import kind_of, open_source
from sosie.sources.options import SourceOptions

__all__ = ["SourceOptions", "kind_of", "open_source"]
