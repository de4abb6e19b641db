"""The collector: the live fleet in the memory of each worker, the same on all of them."""

from subscriptions.collector.metrics import RPAMetricsCollector as RPAMetricsCollector
