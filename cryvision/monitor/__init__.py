"""Live monitoring: sound from a room becomes state and alerts that reach people."""
