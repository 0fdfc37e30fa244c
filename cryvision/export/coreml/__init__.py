"""Core ML packages, and an interpreter that checks them where Core ML is not."""
