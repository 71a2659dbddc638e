"""What happened to guests over time: their states and places as events, and their charts."""
