"""Small typed interfaces to programs and libraries outside the engine."""
