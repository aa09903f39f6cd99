"""How many tokens each request may produce (config group `lengths`), one law per file."""
