"""The broker: one process by which programs of one user on one machine share WebSockets."""
