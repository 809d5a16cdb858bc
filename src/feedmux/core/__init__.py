"""Pure machines: no asyncio, no sockets, no clock, no dice."""
