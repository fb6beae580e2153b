"""The events on their way: what the services tell is heard here, drawn in the browser, and the last stories kept."""
