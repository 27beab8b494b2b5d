"""Chains of training steps from a file, and studies of their parts."""
