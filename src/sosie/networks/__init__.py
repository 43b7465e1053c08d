"""Networks from files: opening them safely, where they are kept, what is published."""

from __future__ import annotations
