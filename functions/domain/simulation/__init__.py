"""Replays many jobs at once over recorded hours; pure arrays, no files, no network."""
