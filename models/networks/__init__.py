"""Definitions of the networks that this project trains itself."""
