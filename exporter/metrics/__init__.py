"""The one place that knows metrics: names, help texts, labels, and the bytes that Prometheus reads. Pure."""
