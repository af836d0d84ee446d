"""What happened, added up: decisions and outcomes folded into small read models, which instruments read."""
