"""Recurrent cells on text, Penn Treebank or any other: network, cell, training from scratch, presets."""
