"""Plots and pictures, drawn from numbers and pixels that others hand over: PNG for pages, SVG for print."""
