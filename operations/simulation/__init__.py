"""Playing a policy over somebody's own history, by the code that runs live."""
