"""Watch a microphone, a camera or a stream for crying: sources of sound, alerts, where they go."""
