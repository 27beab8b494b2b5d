"""Stereo depth with DTPnet, a distilled and pruned 2D-convolution network."""

__version__ = '0.1.0'
