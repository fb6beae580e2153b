"""Accounts of all roles: registration, signing in, and the tokens by which every service knows its callers."""
