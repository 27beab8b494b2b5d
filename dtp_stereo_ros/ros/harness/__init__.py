"""Plays cameras and bags, collects what the node publishes, and runs the node as a process."""
