"""Measurements and generators that need a source checkout: run them from its root."""
