"""Forecasts of the carbon intensity of grids, 24 hours ahead."""
