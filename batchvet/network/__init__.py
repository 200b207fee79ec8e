"""Other people's servers: where they are, and how they are asked."""
