"""What concerns all kinds of objects, and pyke itself: inspect, prune, events, df, info."""
