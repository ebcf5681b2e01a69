"""Data: where it is looked for, how it is verified, how it is read."""
