"""Scenes of textured planes, drawn with OpenCV one pair after the other."""
