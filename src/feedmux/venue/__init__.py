"""Bytes to values and back, as the venues define them."""
