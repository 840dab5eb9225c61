"""Reads a recording as an expert would: one module per kind of question, each giving verdicts."""
