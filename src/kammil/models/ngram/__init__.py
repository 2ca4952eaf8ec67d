"""Interpolated Kneser-Ney over characters."""
