"""What a gateway does for programs of the same user and machine."""
