"""Structured pruning, sensitivity and cost."""
