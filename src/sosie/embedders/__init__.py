"""Pictures → unit vectors. Each embedder is one file here and one line in ``sosie.registry.EMBEDDERS``."""
