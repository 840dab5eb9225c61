"""Sliding-window back end: preintegration, residuals, block-sparse solver, marginalisation."""
