"""Result files, written whole or not at all, and the tables rebuilt from them."""
