"""Findings: what is wrong with the input of a stereo camera, each with its mend. Knows no ROS.

A new finding is one function here and one row where it is asked: `ros/judge.py` in the node,
`ros/camera_examination.py` in `dtp-stereo doctor`.
"""
