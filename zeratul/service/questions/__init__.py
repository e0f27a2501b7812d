"""What is computed: checks, explanations, lists, permissions."""
