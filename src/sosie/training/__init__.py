"""Networks trained on the user's own pictures: classes, likeness, codes; out comes a package that a library can use."""
