"""The projector: what happened, added up, and where each record stands."""
