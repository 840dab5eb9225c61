"""How fast the engine is on this machine: its own stages, its start, and OpenCV's front end beside it."""
