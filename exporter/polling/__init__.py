"""The one place that knows time: when to ask the cloud, how fast, when to pause, when an answer is stale."""
