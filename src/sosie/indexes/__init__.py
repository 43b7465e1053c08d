"""Nearest neighbours among unit vectors: kinds behind one contract, each built to a measured recall."""
