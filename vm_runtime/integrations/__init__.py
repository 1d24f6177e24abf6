"""Brings jobs to scripts that use another trainer; each module needs that trainer's library."""
