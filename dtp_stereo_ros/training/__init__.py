"""The offline tooling: synthetic data, losses, training, export."""
