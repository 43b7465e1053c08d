"""Pictures from the web: checked addresses, polite clients, lists, sites."""

from __future__ import annotations
