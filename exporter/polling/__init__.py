"""The one place that knows time: when to poll, how fast, when to pause, and when an answer is stale."""
