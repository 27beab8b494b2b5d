"""Pairs that a network is trained on: sources, readers, batches, and what teachers say of them."""
