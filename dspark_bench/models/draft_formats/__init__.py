"""The formats that drafters are published in, one module each; `reading` chooses among them."""
