"""Handwritten digits: cells of NAS-Bench-201 in a small network, in seconds without a GPU and without a download."""
