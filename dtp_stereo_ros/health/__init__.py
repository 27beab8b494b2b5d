"""Findings: what is wrong with the input of a stereo camera, each with its mend. Knows no ROS.

A new finding is one function here and one row where it is asked: `ros/input_judge.py` in the node,
`camera` in `dtp-stereo doctor`.
"""
