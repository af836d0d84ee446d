"""Catalogs to start with, one for each kind of site, and what fills them in."""
