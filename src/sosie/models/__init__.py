"""The models of a library: the one in use, those that can be tried, and what each measured on it."""
