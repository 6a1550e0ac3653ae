"""See how a device behaves, and fit a device model to a measured pulse response."""
