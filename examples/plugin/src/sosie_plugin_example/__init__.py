"""An index, an embedder and a source for Sosie, in a package of their own."""
