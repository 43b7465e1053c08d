"""The web page and the REST service over one library: ``create_app(library, settings=…)`` in ``sosie.server.app``.

Nothing is imported here, so that ``import sosie.server`` stays free; ``fastapi`` is used in this package alone.
"""
