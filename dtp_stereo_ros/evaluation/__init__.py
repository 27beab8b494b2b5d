"""Metrics, data set readers and reports."""
