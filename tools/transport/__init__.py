"""Loss of large messages, by transport."""
