"""Product pictures that untrain renders itself, in families of known composition."""
