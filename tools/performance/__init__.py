"""Cost of methods and of the node against what it depends on, and the roofline."""
