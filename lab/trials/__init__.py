"""Servers under test, and rounds until the claim is decided."""
