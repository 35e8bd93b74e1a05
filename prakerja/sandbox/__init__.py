"""What partners try their programs with: made-up people in every situation that the API has an answer to. Never in production."""
