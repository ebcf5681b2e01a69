"""Running: settings, run folders, checkpoints, processes, and programs that refuse in one line."""
