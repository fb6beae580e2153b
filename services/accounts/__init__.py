"""Buyers, sellers and agents: registration, signing in, and the tokens by which every service knows its callers."""
