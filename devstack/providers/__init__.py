"""Doubles of the publishing platforms: they speak the platforms' wire shapes and remember every post."""
