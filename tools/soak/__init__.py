"""A soak: the node over minutes or hours, its memory and its rate."""
