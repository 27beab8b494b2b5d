"""ROS messages to the values of the core and back. Knows no ROS: message classes are handed in."""
