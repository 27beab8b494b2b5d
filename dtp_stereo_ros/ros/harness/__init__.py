"""A camera that plays, a subscriber that collects, and the real node as a process."""
