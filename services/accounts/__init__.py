"""Who buys, sells and helps: registration, signing in, and the tokens by which every service knows its callers."""
