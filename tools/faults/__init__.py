"""The fault matrix: what the node does about each fault."""
