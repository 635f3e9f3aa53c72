"""Who sends what when, and what came back."""
