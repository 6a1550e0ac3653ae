"""Grids: every job in a process of its own, a record of who did what, a live overview."""
