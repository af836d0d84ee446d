"""The concepts of the catalog, a file each."""
