"""Bags, read without ROS."""
