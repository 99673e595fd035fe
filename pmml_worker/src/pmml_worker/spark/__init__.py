"""The Spark face."""
