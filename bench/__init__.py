"""What is measured, beside the tests, which assert."""
