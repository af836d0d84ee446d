"""What marketers write, compiled: placements, contents, rules."""
