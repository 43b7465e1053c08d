"""What keeps a library well: its indexes, its check-up, copies of it elsewhere."""

from __future__ import annotations
