"""The doctor: looks whether all that the service needs is as it should be, and says what to do where it is not."""
