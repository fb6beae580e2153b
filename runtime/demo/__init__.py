"""What a service has in demonstration mode only: it tells what happens to its events, and lets itself be disturbed.

Outside of demonstration mode nothing of this is loaded: no route, no switch, no wrapper around bus and handlers.
"""
