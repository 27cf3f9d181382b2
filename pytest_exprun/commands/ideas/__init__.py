"""What `exprun` can do for a session of many ideas."""
