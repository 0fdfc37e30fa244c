"""Where live sound and pictures come from: microphones, cameras, streams, files."""
