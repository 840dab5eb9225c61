"""Integer front end: pyramid, corners, tracking, stereo, outlier rejection."""
