"""The recipe that trains the embedder shipped with Sosie."""

import sosie  # noqa: F401 - before ONNX Runtime, which would report to its maker
