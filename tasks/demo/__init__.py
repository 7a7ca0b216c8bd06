"""The demo catalogue: drawn products, written copy, the faults of real catalogues, and a server that plays them."""
