"""Tests with releases newer than Debian stable's, and with VictoriaMetrics: `make newest`, outside the gate."""
