"""The outside world, faked; never shares code with what it tests."""
