"""One kind of job a file; importing a file registers its handler."""
