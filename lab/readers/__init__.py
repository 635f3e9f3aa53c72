"""What other load generators write, one file a tool."""
