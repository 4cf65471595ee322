"""One replica: puts the parts together, starts them and ends them."""
