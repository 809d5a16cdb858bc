"""What is compiled: imported by the stages that do I/O, never by a pure module."""
