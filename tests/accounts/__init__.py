"""Accounts: registration, signing in, sessions and tokens."""
