"""The pages: what buyers, sellers and agents see in a browser, written on the server by asking the other services."""
