"""Stamps in, pairs out: which images, and which camera infos, belong together. Knows no ROS."""
