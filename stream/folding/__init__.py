"""The folder: the visitor log into visitors' states, and who is due is woken."""
