"""The fault matrix: every fault on several flights at several severities, and what becomes of each against its line in a file."""
