"""The only place that knows concrete classes, settings and the terminal."""
