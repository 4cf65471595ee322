"""Commands for secrets, tokens and ping keys."""
