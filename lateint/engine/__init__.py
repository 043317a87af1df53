"""What a backend must be, and the machinery that all backends share."""
