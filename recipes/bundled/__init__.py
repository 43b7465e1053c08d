"""The recipe that trains the embedder shipped with Sosie."""
