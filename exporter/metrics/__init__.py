"""The exposition: the fleet's series by the fast renderer, our own by prometheus_client."""
