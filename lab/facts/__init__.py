"""What was measured and what follows from it: pure, without network, asyncio or terminal."""
