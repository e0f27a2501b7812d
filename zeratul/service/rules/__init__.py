"""What an application declares: its model and its catalog."""
