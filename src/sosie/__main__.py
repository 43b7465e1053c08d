"""``python -m sosie`` is ``sosie``."""

from sosie.cli import run

run()
