"""What learns, and what it eats. Imports neither Prefect nor MLflow."""
