"""The exporter's HTTP server: paths, page, authentication and limits for clients."""
