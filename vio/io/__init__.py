"""Readers, writers and the renderer. The engine imports nothing from here."""
