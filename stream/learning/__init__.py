"""The learner: outcomes into models, published to those who decide and kept in checkpoints."""
