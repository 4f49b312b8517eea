"""Separating recordings of any length in bounded memory: windows, seams, levels, files."""
