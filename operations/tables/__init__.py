"""Tables as people have them: found out how they are written, and read as features."""
