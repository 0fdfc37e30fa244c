"""What is wrong in labelled recordings."""
