"""What is removed from scans as they come, beside what is removed from simulated noise of the level that was found."""
