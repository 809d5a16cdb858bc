"""What everything else speaks about: topics, events, errors and the seams."""
