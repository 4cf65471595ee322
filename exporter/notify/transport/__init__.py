"""HTTP and SMTP for notifiers, bounded and redacted."""
